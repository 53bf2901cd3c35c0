package main

import (
	"context"
	"embed"
	"errors"
	"os"
	"path/filepath"
	"text/template"
)

// Addresses of the cluster's networks.
const (
	podNetwork     = "10.244.0.0/16"
	serviceNetwork = "10.96.0.0/16"
	serviceIP      = "10.96.0.1"
	dnsIP          = "10.96.0.10"
)

//go:embed config
var configurations embed.FS

// destinations says where each file of config/ goes.
var destinations = map[string]string{
	"containerd.toml":  configFolder + "/containerd.toml",
	"cni.conflist":     "/etc/cni/net.d/10-seedling.conflist",
	"kubelet.yaml":     configFolder + "/kubelet.yaml",
	"kube-proxy.yaml":  configFolder + "/kube-proxy.yaml",
	"Corefile":         configFolder + "/Corefile",
	"gitea.ini":        configFolder + "/gitea.ini",
	"resolv.conf":      "/etc/resolv.conf",
	"pods-resolv.conf": configFolder + "/pods-resolv.conf",
}

func (m *machine) writeConfigurations(context.Context) error {
	values := map[string]string{
		"NodeName": m.NodeName, "NodeIP": m.NodeIP, "PKI": pkiFolder, "Config": configFolder,
		"PodNetwork": podNetwork, "DNS": dnsIP, "PauseImage": os.Getenv("SEEDLING_PAUSE_IMAGE"),
		"User": os.Getenv("SEEDLING_USER"), "Password": os.Getenv("SEEDLING_PASSWORD"),
	}
	templates, err := template.New("").Option("missingkey=error").ParseFS(configurations, "config/*")
	if err != nil {
		return err
	}
	for name, path := range destinations {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// Written in place: Docker mounts /etc/resolv.conf as a single file.
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(templates.ExecuteTemplate(out, name, values), out.Close()); err != nil {
			return err
		}
	}
	return nil
}
