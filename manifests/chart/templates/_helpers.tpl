{{- define "seedling.image" -}}
{{ .Values.registry }}/plugin
{{- if .Values.image.digest }}{{ with .Values.image.tag }}:{{ . }}{{ end }}@{{ .Values.image.digest }}
{{- else }}:{{ required "set image.tag to the release, or image.digest" .Values.image.tag }}{{ end }}
{{- end -}}

{{- /* Of a preview's Postgres: of the plugin's release where nothing is said. */ -}}
{{- define "seedling.postgresImage" -}}
{{- $tag := .Values.postgresImage.tag | default .Values.image.tag -}}
{{ .Values.registry }}/seed-postgres
{{- if .Values.postgresImage.digest }}{{ with $tag }}:{{ . }}{{ end }}@{{ .Values.postgresImage.digest }}
{{- else }}:{{ required "set image.tag to the release, or postgresImage.tag or .digest" $tag }}{{ end }}
{{- end -}}

{{- define "seedling.config" -}}
{{ merge (dict "argocdNamespace" .Values.argocd.namespace "veleroNamespace" .Values.velero.namespace) .Values.config | toYaml }}
{{- end -}}
