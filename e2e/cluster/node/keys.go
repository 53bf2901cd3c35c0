package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keys signs the cluster's certificates. The authority and the key of the
// service accounts outlive a restart of the container; certificates are made
// anew, because the container's address may change.
type keys struct {
	authority *x509.Certificate
	signer    *ecdsa.PrivateKey
}

// identity is a client or server of the API server.
type identity struct {
	file, name string
	groups     []string
	hosts      []string // a server's names and addresses
}

func (m *machine) makeKeys(context.Context) error {
	if err := os.MkdirAll(pkiFolder, 0o700); err != nil {
		return err
	}
	var err error
	if m.keys, err = loadAuthority(); err != nil {
		return err
	}
	if _, err := loadOrMakeKey("service-accounts"); err != nil {
		return err
	}
	identities := []identity{
		{file: "apiserver", name: "kube-apiserver", hosts: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			"localhost", "127.0.0.1", serviceIP, m.NodeIP,
		}},
		{file: "kubelet-server", name: m.NodeName, hosts: []string{m.NodeName, m.NodeIP}},
		{file: "kubelet-client", name: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		{file: "front-proxy", name: "front-proxy-client"},
		{file: "admin", name: "admin", groups: []string{"system:masters"}},
		{file: "kubelet", name: "system:node:" + m.NodeName, groups: []string{"system:nodes"}},
		{file: "kube-controller-manager", name: "system:kube-controller-manager"},
		{file: "kube-scheduler", name: "system:kube-scheduler"},
		{file: "kube-proxy", name: "system:kube-proxy"},
		{file: "kube-router", name: "kube-router", groups: []string{"system:masters"}},
		{file: "coredns", name: "coredns", groups: []string{"system:masters"}},
		{file: "csi", name: "csi", groups: []string{"system:masters"}},
	}
	for _, id := range identities {
		if err := m.keys.issue(id); err != nil {
			return fmt.Errorf("certificate %s: %w", id.file, err)
		}
		if len(id.hosts) > 0 || id.file == "front-proxy" || id.file == "kubelet-client" {
			continue
		}
		if err := writeKubeconfig(id.file); err != nil {
			return fmt.Errorf("kubeconfig %s: %w", id.file, err)
		}
	}
	return nil
}

func loadAuthority() (*keys, error) {
	key, err := loadOrMakeKey("ca")
	if err != nil {
		return nil, err
	}
	if raw, err := os.ReadFile(pki("ca.crt")); err == nil {
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, errors.New("the authority's certificate is not PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		return &keys{certificate, key}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "seedling"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &keys{certificate, key}, writePEM("ca.crt", "CERTIFICATE", der)
}

func (k *keys) issue(id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: id.name, Organization: id.groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range id.hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.authority, key.Public(), k.signer)
	if err != nil {
		return err
	}
	if err := writePEM(id.file+".crt", "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(id.file+".key", key)
}

// loadOrMakeKey returns the private key of that name and keeps it, with its
// public half.
func loadOrMakeKey(name string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(pki(name + ".key"))
	if err == nil {
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, fmt.Errorf("key %s is not PEM", name)
		}
		return x509.ParseECPrivateKey(block.Bytes)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return key, errors.Join(writeKey(name+".key", key), writePEM(name+".pub", "PUBLIC KEY", public))
}

func writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(name, "EC PRIVATE KEY", der)
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(pki(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func pki(name string) string { return filepath.Join(pkiFolder, name) }

// writeKubeconfig writes a kubeconfig for an identity, with its keys inside,
// so that it also works on another machine. JSON is YAML.
func writeKubeconfig(name string) error {
	data := map[string]string{}
	for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		raw, err := os.ReadFile(pki(file))
		if err != nil {
			return err
		}
		data[file] = base64.StdEncoding.EncodeToString(raw)
	}
	type object = map[string]any
	raw, err := json.MarshalIndent(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "seedling",
		"clusters": []object{{"name": "seedling", "cluster": object{
			"server": "https://127.0.0.1:6443", "certificate-authority-data": data["ca.crt"],
		}}},
		"users": []object{{"name": name, "user": object{
			"client-certificate-data": data[name+".crt"], "client-key-data": data[name+".key"],
		}}},
		"contexts": []object{{"name": "seedling", "context": object{"cluster": "seedling", "user": name}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(kubeconfig(name), raw, 0o600)
}

func kubeconfig(name string) string { return pki(name + ".kubeconfig") }
