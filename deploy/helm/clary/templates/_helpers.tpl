{{- define "clary.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | replace "clary-clary" "clary" | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "clary.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "clary.labels" -}}
{{ include "clary.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "clary.secret" -}}
{{ .Values.existingSecret | default (include "clary.name" .) }}
{{- end -}}

{{- define "clary.registry" -}}
{{- if .Values.ingress.enabled -}}
{{ .Values.ingress.host }}
{{- else -}}
{{ include "clary.name" . }}.{{ .Release.Namespace }}:{{ .Values.service.port }}
{{- end -}}
{{- end -}}

{{- define "clary.check" -}}
{{- $has := or .Values.existingSecret .Values.store.url -}}
{{- if and (gt (int .Values.replicas) 1) (not (and $has .Values.objects.url)) -}}
{{- fail "replicas above 1 need a PostgreSQL (store.url, or existingSecret) and an S3 (objects.url) that all pods share" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.keys.existingSecret) -}}
{{- fail "replicas above 1 need keys.existingSecret: pods read each other's secrets in the database" -}}
{{- end -}}
{{- if and .Values.objects.url (not .Values.existingSecret) (not (and .Values.objects.accessKey .Values.objects.secretKey)) -}}
{{- fail "objects.url needs objects.accessKey and objects.secretKey, or existingSecret" -}}
{{- end -}}
{{- end -}}
