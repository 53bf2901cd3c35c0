package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// programSBOM lists the modules that Go recorded in a program.
func (r *release) programSBOM(name, arch, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	components := []cyclonedx.Component{{
		Type: cyclonedx.ComponentTypePlatform, Name: "go", Version: info.GoVersion, PackageURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"),
		BOMRef: "go@" + info.GoVersion,
	}}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		if strings.HasPrefix(module.Path, ".") { // another module of this repository
			continue
		}
		c := component(cyclonedx.ComponentTypeLibrary, "pkg:golang/"+module.Path+"@"+module.Version, module.Path, module.Version)
		if l, known := r.licenses[module.Path+"@"+module.Version]; known {
			c.Licenses = &cyclonedx.Licenses{}
			for _, id := range l.IDs {
				*c.Licenses = append(*c.Licenses, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: id}})
			}
		}
		components = append(components, c)
	}
	return r.writeSBOM(name, arch, components)
}

// postgresSBOM lists the Debian packages in the image.
func (r *release) postgresSBOM(ctx context.Context, ref string) error {
	packages, err := output(ctx, r.root, nil, "docker", "run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", ref,
		"--show", "--showformat", "${Package} ${Version} ${Architecture}\n")
	if err != nil {
		return err
	}
	var components []cyclonedx.Component
	for line := range strings.Lines(packages) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return fmt.Errorf("list the packages of %s: dpkg-query says %q", ref, line)
		}
		components = append(components, component(cyclonedx.ComponentTypeLibrary, fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", f[0], f[1], f[2]), f[0], f[1]))
	}
	return r.writeSBOM("seed-postgres", runtime.GOARCH, components)
}

func component(kind cyclonedx.ComponentType, url, name, version string) cyclonedx.Component {
	return cyclonedx.Component{Type: kind, Name: name, Version: version, PackageURL: url, BOMRef: url}
}

func (r *release) writeSBOM(name, arch string, components []cyclonedx.Component) error {
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: r.date.Format(time.RFC3339),
		Component: &cyclonedx.Component{
			Type: cyclonedx.ComponentTypeContainer, Name: registry + "/" + name, Version: r.version,
			BOMRef: name + "@" + r.version, Properties: &[]cyclonedx.Property{{Name: "architecture", Value: arch}, {Name: "commit", Value: r.commit}},
		},
	}
	bom.Components = &components
	out, err := os.Create(filepath.Join(r.dist, "sbom", name+"-"+arch+".cdx.json"))
	if err != nil {
		return err
	}
	err = cyclonedx.NewBOMEncoder(out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
