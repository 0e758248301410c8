// Command release builds the files of a release: the two commands for every supported
// system, as archives and as packages for Debian and Red Hat, each with a software bill
// of materials, and the checksums of all files. Builds are reproducible: the same commit,
// version and Go version always give the same bytes.
//
// It runs in the folder of the module and needs Go and nfpm.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/cli/serve"
)

// target is a system to build for. Its name is what people look for on a page
// of downloads.
type target struct {
	os, arch string
	// arm is the version of the instructions, 0 on others than arm.
	arm int
	// nfpm is nfpm's name of the processor, empty without packages.
	nfpm string
}

var targets = []target{
	{os: "linux", arch: "amd64", nfpm: "amd64"},
	{os: "linux", arch: "arm64", nfpm: "arm64"},
	{os: "linux", arch: "arm", arm: 7, nfpm: "arm7"},
	{os: "darwin", arch: "amd64"},
	{os: "darwin", arch: "arm64"},
	{os: "windows", arch: "amd64"},
	{os: "windows", arch: "arm64"},
}

func (t target) String() string {
	if t.arm != 0 {
		return fmt.Sprintf("%s_%sv%d", t.os, t.arch, t.arm)
	}
	return t.os + "_" + t.arch
}

// release describes the release to build.
type release struct {
	out, version, commit string
	date                 time.Time
	nfpm                 string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	var names []string
	for _, t := range targets {
		names = append(names, t.String())
	}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	r := release{}
	flags.StringVar(&r.out, "out", "dist", "`FOLDER` that is emptied and filled")
	flags.StringVar(&r.version, "version", "", "`VERSION` without a v; without one it is made from the commit")
	flags.StringVar(&r.nfpm, "nfpm", "nfpm", "the `COMMAND` nfpm")
	only := flags.String("targets", strings.Join(names, ","), "`SYSTEMS` to build for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for name := range strings.SplitSeq(*only, ",") {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-targets %q is not one of %s", name, strings.Join(names, ", "))
		}
	}
	if err := r.readCommit(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := r.writePages(); err != nil {
		return err
	}
	for _, t := range targets {
		if !slices.Contains(strings.Split(*only, ","), t.String()) {
			continue
		}
		if _, err := fmt.Fprintln(log, "building", t); err != nil {
			return err
		}
		if err := r.build(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return r.writeChecksums()
}

// readCommit fills what the commit says.
func (r *release) readCommit(ctx context.Context) error {
	out, err := command(ctx, nil, "git", "log", "-1", "--format=%h %ct")
	if err != nil {
		return err
	}
	hash, at, _ := strings.Cut(strings.TrimSpace(out), " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return fmt.Errorf("the date of the commit: %w", err)
	}
	r.commit, r.date = hash, time.Unix(seconds, 0).UTC()
	if r.version == "" {
		// A version that sorts before every release.
		r.version = "0.0.0~" + r.date.Format("20060102150405") + "." + hash
	}
	return nil
}

// share is the folder of the pages about the commands.
func (r *release) share() string { return filepath.Join(r.out, "share") }

// configuration is the file of settings that packages install.
func (r *release) configuration() string { return filepath.Join(r.out, "build", "config.yaml") }

func (r *release) writePages() error {
	forAdmins, err := cli.Pages(serve.App(cli.Env{}), 8)
	if err != nil {
		return err
	}
	forUsers, err := cli.Pages(message.App(cli.Env{}), 1)
	if err != nil {
		return err
	}
	for _, p := range append(forAdmins, forUsers...) {
		text := []byte(p.Text)
		if strings.HasPrefix(p.Folder, "man/") {
			// Packages hold manual pages compressed.
			if text, err = compress(text); err != nil {
				return err
			}
			p.Name += ".gz"
		}
		if err := write(filepath.Join(r.share(), filepath.FromSlash(p.Folder), p.Name), text); err != nil {
			return err
		}
	}
	if err := write(r.configuration(), []byte(serve.Template())); err != nil {
		return err
	}
	// nfpm takes the dates of a tree as they are, for equal packages.
	return filepath.WalkDir(r.share(), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, r.date, r.date)
	})
}

// build makes everything for one target.
func (r *release) build(ctx context.Context, t target) error {
	folder := filepath.Join(r.out, "build", t.String())
	bin := filepath.Join(folder, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	environment := []string{"CGO_ENABLED=0", "GOOS=" + t.os, "GOARCH=" + t.arch}
	if t.arm != 0 {
		environment = append(environment, "GOARM="+strconv.Itoa(t.arm))
	}
	link := fmt.Sprintf("-s -w -buildid= -X discordproxy/cli.version=%s -X discordproxy/cli.commit=%s", r.version, r.commit)
	into := bin + string(filepath.Separator)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", into, "./cli/..."}
	if _, err := command(ctx, environment, "go", args...); err != nil {
		return err
	}

	name := fmt.Sprintf("discordproxy_%s_%s", r.version, t)
	suffix := ""
	if t.os == "windows" {
		suffix = ".exe"
	}
	bill, err := r.bill(filepath.Join(bin, "discordproxyserver"+suffix))
	if err != nil {
		return err
	}
	if err := write(filepath.Join(r.out, name+".cdx.json"), bill); err != nil {
		return err
	}
	documents, err := files("docs/*.md", "docs/images/*.png")
	if err != nil {
		return err
	}
	if err := r.archive(name, t.os == "windows", append(documents, []source{
		{bin, ""},
		{r.share(), "share"},
		{"README.md", "README.md"},
		{"LICENSE", "LICENSE"},
		{"deploy/supervisor", "deploy/supervisor"},
		{"deploy/systemd", "deploy/systemd"},
		{"deploy/prometheus/discordproxy.rules.yml", "deploy/prometheus/discordproxy.rules.yml"},
		{"deploy/grafana", "deploy/grafana"},
	}...)); err != nil {
		return err
	}
	if t.nfpm == "" {
		return nil
	}
	for _, packager := range []string{"deb", "rpm"} {
		if err := r.pack(ctx, packager, t, folder); err != nil {
			return err
		}
	}
	return nil
}

// pack makes a package from the contents of a folder with nfpm.
func (r *release) pack(ctx context.Context, packager string, t target, folder string) error {
	form, err := os.ReadFile("deploy/package/nfpm.yaml")
	if err != nil {
		return err
	}
	var unknown error
	filled := os.Expand(string(form), func(name string) string {
		switch name {
		case "ARCH":
			return t.nfpm
		case "VERSION":
			return r.version
		case "MTIME":
			return r.date.Format(time.RFC3339)
		case "BIN":
			return filepath.ToSlash(filepath.Join(folder, "bin"))
		case "SHARE":
			return filepath.ToSlash(r.share())
		case "CONFIG":
			return filepath.ToSlash(r.configuration())
		}
		unknown = errors.Join(unknown, fmt.Errorf("deploy/package/nfpm.yaml: there is no ${%s}", name))
		return ""
	})
	if unknown != nil {
		return unknown
	}
	config := filepath.Join(folder, "nfpm.yaml")
	if err := write(config, []byte(filled)); err != nil {
		return err
	}
	_, err = command(ctx, []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.date.Unix(), 10)},
		r.nfpm, "package", "--config", config, "--packager", packager, "--target", r.out+string(filepath.Separator))
	return err
}

// bill lists what was linked into a binary, as the binary itself says.
func (r *release) bill(binary string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return billOfMaterials(info, r.version, r.date)
}

// writeChecksums writes what sha256sum -c reads, over the files that are
// given to others.
func (r *release) writeChecksums() error {
	files, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.out, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), f.Name())
	}
	return write(filepath.Join(r.out, "checksums.txt"), sums.Bytes())
}

// command runs a command with variables of its own and returns its output. An
// error holds what the command wrote.
func command(ctx context.Context, variables []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), variables...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", filepath.Base(name), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

// write makes a file that everybody may read, and the folders above it.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
