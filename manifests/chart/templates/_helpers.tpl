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
{{- $guards := dict }}
{{- if .Values.access.groups }}{{ $_ := set $guards "access" (dict "groups" .Values.access.groups) }}{{ end }}
{{- if .Values.credentials.enabled }}{{ $_ := set $guards "credentials" (dict "namespace" "seedling-credentials") }}{{ end }}
{{- $values := dict "argocdNamespace" .Values.argocd.namespace "veleroNamespace" .Values.velero.namespace }}
{{- if $guards }}{{ $_ := set $values "guards" $guards }}{{ end }}
{{- merge $values .Values.config | toYaml }}
{{- end -}}

{{- /* What kinds switches on, as manifests/kinds has it: a test compares. */ -}}
{{- define "seedling.kinds" -}}
external-secret: {group: external-secrets.io, kind: ExternalSecret, resource: externalsecrets}
http-route: {group: gateway.networking.k8s.io, kind: HTTPRoute, resource: httproutes}
service-monitor: {group: monitoring.coreos.com, kind: ServiceMonitor, resource: servicemonitors}
certificate: {group: cert-manager.io, kind: Certificate, resource: certificates}
{{- end -}}
