package images

import "os"

// systemCABundles are where systems keep the certificates that they trust: Debian, Fedora, and Alpine or macOS.
var systemCABundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// hostCABundle returns the file with the certificates that this machine trusts: of those that the environment names,
// most specific first, or the system's own. "": there is none.
func hostCABundle() string {
	var named []string
	for _, key := range []string{"PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"} {
		named = append(named, os.Getenv(key))
	}
	for _, path := range append(named, systemCABundles...) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
