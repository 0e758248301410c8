// Command conformance runs the Connect project's conformance suite against the
// listener and the handler options that all services of this server share.
//
// The suite's service is generated from its own proto files into a temporary
// folder, which the build of the server sees as a folder of this module
// (go build -overlay). The command ends with the suite's exit code. Its
// arguments are options of the suite, for example --run PATTERN or -v.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	suite = "connectrpc.com/conformance"

	// cases is how many the suite has for conformance.yaml.
	cases = 1900

	// generatedPackage is where the server finds the generated code.
	generatedPackage = "discordproxy/server/internal/conformance/gen/conformance"
)

// protoFiles are the suite's files that a server needs.
var protoFiles = []string{
	"connectrpc/conformance/v1/config.proto",
	"connectrpc/conformance/v1/server_compat.proto",
	"connectrpc/conformance/v1/service.proto",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	// The module's folder, wherever the command was started.
	mod, err := goTool(ctx, "", "list", "-m", "-f", "{{.Dir}}", "discordproxy/server/internal/conformance")
	if err != nil {
		return err
	}
	// A module that was never used has no folder yet.
	if _, err := goTool(ctx, mod, "mod", "download", suite); err != nil {
		return err
	}
	suiteDir, err := goTool(ctx, mod, "list", "-m", "-f", "{{.Dir}}", suite)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()

	request, err := generatorRequest(ctx, filepath.Join(suiteDir, "proto"))
	if err != nil {
		return fmt.Errorf("compile the suite's proto files: %w", err)
	}
	overlay := make(map[string]string)
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-connect-go"} {
		if err := generate(ctx, mod, tmp, plugin, request, overlay); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	overlayFile := filepath.Join(tmp, "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlayFile, data, 0o600); err != nil {
		return err
	}
	server, runner := filepath.Join(tmp, "server"), filepath.Join(tmp, "connectconformance")
	if _, err := goTool(ctx, mod, "build", "-tags", "conformance", "-overlay", overlayFile, "-o", server, "./server"); err != nil {
		return err
	}
	if _, err := goTool(ctx, mod, "build", "-o", runner, suite+"/cmd/connectconformance"); err != nil {
		return err
	}
	return conform(ctx, func(ctx context.Context, args ...string) *exec.Cmd {
		args = append([]string{"--conf", filepath.Join(mod, "conformance.yaml"), "--mode", "server"}, args...)
		return exec.CommandContext(ctx, runner, append(args, "--", server)...)
	})
}

// repetitions is how often failed cases are run again, alone. Where a deadline
// ends a call, the suite's client sometimes gives up in the middle of reading
// the answer, and takes what it has read for a mistake of the server.
const repetitions = 2

// failure begins the line that the suite prints for a failed case.
var failure = regexp.MustCompile(`(?m)^FAILED: (.+):$`)

// conform runs the suite. It is an error when cases fail again and again, or
// when the suite has another number of cases: a mistake in the configuration
// would leave some out without a word.
func conform(ctx context.Context, command func(ctx context.Context, args ...string) *exec.Cmd) error {
	args := os.Args[1:]
	for repetition := 0; ; repetition++ {
		var printed bytes.Buffer
		cmd := command(ctx, args...)
		cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &printed), io.MultiWriter(os.Stderr, &printed)
		err := cmd.Run()
		var failed []string
		for _, match := range failure.FindAllStringSubmatch(printed.String(), -1) {
			failed = append(failed, match[1])
		}
		if repetition == 0 && len(args) == 0 {
			if want := fmt.Sprintf("%d passed, %d failed", cases-len(failed), len(failed)); !strings.Contains(printed.String(), want) {
				return errors.Join(fmt.Errorf("the suite did not say %q", want), err)
			}
		}
		if err == nil || len(failed) == 0 || repetition == repetitions {
			return err
		}
		args = nil
		for _, name := range failed {
			args = append(args, "--run", name)
		}
		_, _ = fmt.Fprintf(os.Stdout, "\nRepeating alone what failed: %s\n\n", strings.Join(failed, ", "))
	}
}

// generatorRequest compiles the proto files for plugins.
func generatorRequest(ctx context.Context, folder string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{folder}}),
	}
	files, err := compiler.Compile(ctx, protoFiles...)
	if err != nil {
		return nil, err
	}
	parameters := []string{"module=discordproxy/server/internal/conformance"}
	for _, name := range protoFiles {
		parameters = append(parameters, "M"+name+"="+generatedPackage)
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: protoFiles,
		Parameter:      proto.String(strings.Join(parameters, ",")),
	}
	// Plugins want every file behind the files that it imports.
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		request.ProtoFile = append(request.ProtoFile, fileProto(file))
	}
	for _, file := range files {
		add(file)
	}
	return request, nil
}

func fileProto(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	return protoutil.ProtoFromFileDescriptor(file)
}

// generate runs a plugin, writes its files below tmp and enters them into the
// overlay.
func generate(ctx context.Context, mod, tmp, plugin string, request *pluginpb.CodeGeneratorRequest, overlay map[string]string) error {
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", plugin)
	cmd.Dir, cmd.Stdin, cmd.Stderr = mod, bytes.NewReader(input), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	response := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal(out, response); err != nil {
		return err
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, file := range response.GetFile() {
		name := filepath.FromSlash(path.Clean("/" + file.GetName()))
		target := filepath.Join(tmp, "src", name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(target, []byte(file.GetContent()), 0o600); err != nil {
			return err
		}
		overlay[filepath.Join(mod, name)] = target
	}
	return nil
}

// goTool runs a command of Go in dir and returns the line it prints.
func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
