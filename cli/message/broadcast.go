package message

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	command "discordproxy/cli"
	"discordproxy/client"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"
)

var broadcastCommand = messageCommand{
	name: "broadcast", usage: "sends a direct message to many users",
	needs: "--users FILE|--role ROLE|--guild GUILD_ID", text: true,
	flags: func() []cli.Flag {
		return append(
			append(newMessageFlags(), keepFlags()...),
			&cli.BoolFlag{Name: "follow", Usage: "with --queue, show the results as they arrive, until the last one"},
			&cli.StringFlag{
				Name:      "users",
				TakesFile: true,
				Usage:     "`FILE` with one user ID on each line, - for standard input; # begins a comment",
			},
			&cli.StringFlag{Name: "role", Usage: "send to the members with `ROLE`, its ID or name, in --guild or the only guild that has it"},
			&cli.Uint64Flag{Name: "guild", Usage: "send to the members of `GUILD_ID`", DefaultText: "none"},
			&cli.StringFlag{
				Name:      "failures",
				TakesFile: true,
				Usage:     "`FILE` for the users who did not get the message (default: the --users file plus .failed, or users.failed)",
			},
			&cli.StringFlag{Name: "idempotency-key", Usage: "`KEY` of this broadcast (default: derived from the message; with --queue, random)"},
		)
	},
	run: broadcast,
}

func broadcast(r *request) error {
	users, failuresPath, err := recipients(r)
	if err != nil {
		return err
	}
	m, err := r.message()
	if err != nil {
		return err
	}
	queued, err := r.queued()
	if err != nil {
		return err
	}
	key := r.flags.String("idempotency-key")
	switch {
	case key != "":
	case queued:
		key = strings.ToLower(rand.Text())
	default:
		if key, err = messageKey(m); err != nil {
			return err
		}
	}
	req := &pb.SendDirectMessagesRequest{UserIds: users, Message: m, IdempotencyKey: key}
	if err := r.plan(req); err != nil {
		return err
	}
	if path := r.flags.String("failures"); path != "" {
		if sameFile(path, r.flags.String("users")) {
			return command.Misuse(errors.New("--failures and --users must be different files"))
		}
		failuresPath = path
	}
	failures, err := newFailures(failuresPath)
	if err != nil {
		return err
	}
	defer failures.discard()
	b := &sending{
		reasons: make(map[string]int), open: make(map[uint64]bool, len(users)), failures: failures,
		show: newProgress(r, len(users)),
	}
	for _, user := range users {
		b.open[user] = true
	}
	if queued {
		return b.queue(r, req)
	}
	b.show.begin(key)
	ended := b.receive(r, req)
	b.show.end()
	return b.finish(r, users, ended)
}

// sending is a broadcast in progress.
type sending struct {
	open         map[uint64]bool // users without a result
	sent, failed int
	reasons      map[string]int // how many failed for each
	failures     *failures
	show         progress
}

// receive makes the call and takes its results.
func (b *sending) receive(r *request, req *pb.SendDirectMessagesRequest) error {
	for result, err := range client.All(r.client.SendDirectMessages(r.ctx, req)) {
		if err != nil {
			return r.failed(err)
		}
		if err := b.take(result); err != nil {
			return err
		}
	}
	return nil
}

// take takes one result.
func (b *sending) take(result *pb.SendDirectMessagesResponse) error {
	delete(b.open, result.GetUserId())
	if result.GetError() == nil {
		b.sent++
	} else {
		b.failed++
		b.reasons[failureText(result)]++
		if err := b.failures.add(result.GetUserId(), failureText(result)); err != nil {
			return err
		}
	}
	return b.show.result(result)
}

// finish reports the results. The error is that of the call, if it has one.
func (b *sending) finish(r *request, users []uint64, err error) error {
	if b.sent+b.failed == 0 && err != nil && r.ctx.Err() == nil {
		return err // refused as a whole
	}
	for _, user := range users {
		if b.open[user] {
			if err := b.failures.add(user, "unknown: the call ended first"); err != nil {
				return err
			}
		}
	}
	if err := b.failures.keep(); err != nil {
		return err
	}
	if err := b.summary(r, fmt.Sprintf("Sent to %d of %d users", b.sent, len(users))); err != nil {
		return err
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w; %d of %d users received the message, %d did not, %d have no known result: the last two groups are in %s",
			err, b.sent, len(users), b.failed, len(b.open), b.failures.path)
	case b.failed > 0:
		return fmt.Errorf("%d of %d users did not get the message: they are in %s", b.failed, len(users), b.failures.path)
	case len(b.open) > 0:
		return fmt.Errorf("%d of %d users have no known result: they are in %s", len(b.open), len(users), b.failures.path)
	}
	return nil
}

// summary writes how it went, and why some failed.
func (b *sending) summary(r *request, line string) error {
	if !r.output.structured() {
		if err := r.confirm(line); err != nil {
			return err
		}
		reasons := slices.Collect(maps.Keys(b.reasons))
		slices.SortFunc(reasons, func(x, y string) int { return cmp.Or(b.reasons[y]-b.reasons[x], strings.Compare(x, y)) })
		for _, reason := range reasons {
			if err := r.confirm(fmt.Sprintf("%d failed: %s", b.reasons[reason], reason)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readUsers reads the ids of users, one on each line, each once. Bad lines are
// named, all of them up to a few.
func readUsers(data []byte) ([]uint64, error) {
	const named = 5
	var users []uint64
	var bad []string
	seen := make(map[uint64]bool)
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	lines.Buffer(nil, len(data)+1)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		id, err := strconv.ParseUint(text, 10, 63)
		if err != nil || id == 0 {
			bad = append(bad, fmt.Sprintf("line %d: %.40q is not a user ID", number, text))
			continue
		}
		if !seen[id] {
			seen[id] = true
			users = append(users, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if more := len(bad) - named; more > 0 {
		bad = append(bad[:named], fmt.Sprintf("and %d more lines", more))
	}
	if len(bad) > 0 {
		return nil, errors.New(strings.Join(bad, "; "))
	}
	if len(users) == 0 {
		return nil, errors.New("the file contains no user IDs")
	}
	return users, nil
}

// messageKey names a sending by its message alone: with each user's id the proxy
// makes a nonce of it. So the same command sends nothing twice while Discord
// remembers nonces, and neither does one for the users who are left.
func messageKey(m *pb.NewMessage) (string, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26]), nil
}

// failureText is the reason of a failed result in a line.
func failureText(result *pb.SendDirectMessagesResponse) string {
	e := result.GetError()
	text := result.GetStatus() + ": " + oneLine(e.GetText())
	if e.GetCode() != 0 {
		text += fmt.Sprintf(" (HTTP %d, code %d)", e.GetStatus(), e.GetCode())
	}
	if e.GetOutcomeUnknown() {
		text += "; the message may be there"
	}
	return text
}

// failures is a file of users as --users takes it, with the reasons as comments.
// It gets its name at the end, so that no existing file of that name is lost before.
// It is opened at the beginning, so that a folder that cannot be written is noticed
// before anything is sent.
type failures struct {
	path  string
	file  *os.File
	count int
}

func newFailures(path string) (*failures, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot write --failures: %s is not a regular file", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return nil, fmt.Errorf("cannot write --failures: %w", err)
	}
	return &failures{path: path, file: file}, nil
}

func (f *failures) add(user uint64, reason string) error {
	f.count++
	if _, err := fmt.Fprintf(f.file, "%d # %s\n", user, reason); err != nil {
		return fmt.Errorf("cannot write --failures: %w", err)
	}
	return nil
}

// sameFile reports whether two names are of one file that exists.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// keep gives the file its name. Without failures there is none of that name.
func (f *failures) keep() error {
	err := f.file.Close()
	switch {
	case err != nil:
	case f.count > 0:
		err = os.Rename(f.file.Name(), f.path)
	default:
		if err = os.Remove(f.path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write --failures: %w", err)
	}
	return nil
}

// discard removes what was not kept.
func (f *failures) discard() {
	_ = f.file.Close()
	_ = os.Remove(f.file.Name())
}
