package images

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestPackagesFirst(t *testing.T) {
	t.Parallel()
	const dynamos = `# how they do it
FROM python:3
ARG NAME
ARG WHEEL_NAME
ENV NAME=$NAME

# where all is
WORKDIR /app
RUN mkdir $NAME
RUN --mount=type=secret,id=pip mkdir datasets && mkdir -p protofiles
COPY requirements.txt .
COPY ./*.py /app/$NAME
COPY ./*.csv /app/datasets
# the library
COPY $WHEEL_NAME /tmp/
RUN pip install /tmp/$WHEEL_NAME
RUN pip install --no-cache-dir -r requirements.txt
RUN pip install --upgrade numpy pandas

ENV ENV="PROD"
CMD ["sh", "-c", "python /app/${NAME}/main.py"]`
	const dynamosSorted = `# how they do it
FROM python:3
ARG WHEEL_NAME

# where all is
WORKDIR /app
RUN --mount=type=secret,id=pip mkdir datasets && mkdir -p protofiles
COPY requirements.txt .
# the library
COPY $WHEEL_NAME /tmp/
RUN pip install /tmp/$WHEEL_NAME
RUN pip install --no-cache-dir -r requirements.txt
RUN pip install --upgrade numpy pandas
ARG NAME
ENV NAME=$NAME
RUN mkdir $NAME
COPY ./*.py /app/$NAME
COPY ./*.csv /app/datasets

ENV ENV="PROD"
CMD ["sh", "-c", "python /app/${NAME}/main.py"]`
	same := map[string]string{ // what stays as it is
		"packages first by itself":  "FROM python:3\nARG WHEEL_NAME\nCOPY requirements.txt /tmp/\nRUN pip install -r /tmp/requirements.txt\nARG NAME\nCOPY *.py /app/$NAME/\n",
		"no pip":                    "FROM python:3\nARG NAME\nCOPY *.py /app/$NAME/\n",
		"pip reads the sources":     "FROM python:3\nARG NAME\nCOPY . /app\nRUN pip install -r /app/requirements.txt\n",
		"packages by the name":      "FROM python:3\nARG NAME\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt && pip install $NAME\n",
		"another step":              "FROM python:3\nARG NAME\nRUN apt-get install -y gcc\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"a step with the sources":   "FROM python:3\nARG NAME\nCOPY *.py /app/$NAME/\nRUN python /app/x.py\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"other requirements":        "FROM python:3\nARG NAME\nCOPY odd.txt /app/\nCOPY *.py /app/$NAME/\nRUN pip install -r /app/odd.txt\n",
		"requirements of the base":  "FROM python:3\nARG NAME\nCOPY *.py /app/$NAME/\nRUN pip install -r /app/requirements.txt\n",
		"settings of pip's":         "FROM python:3\nARG NAME\nCOPY pip.conf /etc/\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"written over":              "FROM python:3\nARG NAME\nCOPY data.csv /app/requirements.txt\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"another folder":            "FROM python:3\nARG NAME\nWORKDIR /app/$NAME\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n",
		"a folder after sources":    "FROM python:3\nARG NAME\nCOPY *.py /app/$NAME/\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n",
		"pip's own variable":        "FROM python:3\nARG NAME\nENV PIP_TARGET=/app/$NAME\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"a variable with a default": "FROM python:3\nARG NAME\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt ${NAME:+x}\n",
		"a variable set in between": "FROM python:3\nARG NAME\nARG DIR=/a\nCOPY *.py $DIR/$NAME/\nENV OTHER=1\nARG DIR=/b\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"a user":                    "FROM python:3\nARG NAME\nCOPY *.py /app/$NAME/\nUSER me\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n",
		"two stages":                "FROM python:3 AS a\nARG NAME\nCOPY *.py /app/$NAME/\nCOPY requirements.txt /app/\nRUN pip install -r /app/requirements.txt\nFROM a\n",
		"an owner":                  "FROM python:3\nARG NAME\nCOPY --chown=1:1 requirements.txt /app/\nCOPY *.py /app/$NAME/\nRUN pip install -r /app/requirements.txt\n",
		"no Dockerfile":             "COPY\n",
	}
	files := contextTree{}
	for name, content := range map[string]string{
		"requirements.txt": "pandas>=2\n", "odd.txt": "-e .\n", "main.py": "", "data.csv": "", "lib.whl": "", "pip.conf": "", "x.py": "",
	} {
		files.addContent([]byte(content), name)
	}
	given := map[string]string{"NAME": "query", "WHEEL_NAME": "lib.whl"}
	sorted := func(text string) string {
		text = strings.ReplaceAll(text, "RUN pip", "RUN "+pipMounts+" pip") // as rewriteDockerfile gives it
		text = string(packagesFirst([]byte(text), given, map[string]v1.Config{"python:3": {}}, files))
		return strings.ReplaceAll(text, pipMounts+" ", "")
	}
	if diff := cmp.Diff(dynamosSorted, strings.TrimSuffix(sorted(dynamos), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if again := sorted(dynamosSorted); again != dynamosSorted {
		t.Errorf("sorted once more it is\n%s", again)
	}
	for name, text := range same {
		if got := sorted(text); got != text {
			t.Errorf("%s: it became\n%s", name, got)
		}
	}
}
