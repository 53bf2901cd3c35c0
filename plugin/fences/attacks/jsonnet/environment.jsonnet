{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "environment"}, data: {environment: importstr "/proc/self/environ"}}
