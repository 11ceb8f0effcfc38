{{/* Where a container's spans go, as entries of its env; none without an endpoint. */}}
{{- define "spans" -}}
{{- with .endpoint -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.namespace={{ $.namespace }}
{{- end }}
{{- end }}
