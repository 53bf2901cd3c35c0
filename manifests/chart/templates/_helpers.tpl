{{- define "seedling.image" -}}
{{ .Values.registry }}/plugin
{{- if .Values.image.digest }}{{ with .Values.image.tag }}:{{ . }}{{ end }}@{{ .Values.image.digest }}
{{- else }}:{{ required "set image.tag to the release, or image.digest" .Values.image.tag }}{{ end }}
{{- end -}}

{{- define "seedling.config" -}}
{{ merge (dict "argocdNamespace" .Values.argocd.namespace "veleroNamespace" .Values.velero.namespace) .Values.config | toYaml }}
{{- end -}}
