package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	command "discordproxy/cli"
	"discordproxy/cli/configfile"
	"discordproxy/discord"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// finding is the result of one check.
type finding struct {
	Check string `json:"check"`
	// Result is ok, failed or skipped.
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// checkedSetting is a setting as it would be used.
type checkedSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
	// Reload is whether a reload applies a change.
	Reload bool `json:"reload"`
}

// report is the output of check.
type report struct {
	Settings []checkedSetting `json:"settings"`
	Clients  []string         `json:"clients,omitempty"`
	Hooks    []string         `json:"hooks,omitempty"`
	Checks   []finding        `json:"checks"`
	OK       bool             `json:"ok"`
}

func (r *report) add(check, detail string, err error) {
	f := finding{Check: check, Result: "ok", Detail: detail}
	if err != nil {
		f.Result, f.Detail = "failed", err.Error()
		r.OK = false
	}
	r.Checks = append(r.Checks, f)
}

func (r *report) skip(check, why string) { r.Checks = append(r.Checks, finding{check, "skipped", why}) }

// checkCommand says what a server would do, without starting it.
func checkCommand(e command.Env) *cli.Command {
	var c serverConfig
	var offline bool
	var output string
	flags := c.flags()
	return &cli.Command{
		Name:  "check",
		Usage: "tests settings without starting the server; takes the server's options",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "offline", Destination: &offline, Usage: "do not check the token with Discord"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Destination: &output, Usage: "output `FORMAT`: text or json"},
		}, flags...),
		Action: func(cc *cli.Context) error {
			if err := command.NoArguments(cc); err != nil {
				return err
			}
			if output != "text" && output != "json" {
				return command.Misuse(fmt.Errorf("--output %q is not text or json", output))
			}
			if err := c.load(cc, flags); err != nil {
				return err
			}
			r := &report{OK: true}
			if !c.onlyFiles() {
				r.Settings = c.describe(flags)
			}
			c.examine(cc.Context, r, offline)
			if err := r.write(e.Out, output); err != nil {
				return err
			}
			if !r.OK {
				return errors.New("the check failed: " + r.failures())
			}
			return nil
		},
	}
}

// onlyFiles reports whether nothing but files of clients and hooks is given: then these
// alone are checked.
func (c *serverConfig) onlyFiles() bool {
	files := false
	for name, source := range c.settings.sources {
		switch {
		case source.Kind == "default":
		case slices.Contains([]string{"auth-file", "hooks-file", "hooks-templates"}, name):
			files = true
		default:
			return false
		}
	}
	return files && c.settings.path == ""
}

// describe returns all settings without secrets.
func (c *serverConfig) describe(flags []cli.Flag) []checkedSetting {
	var all []checkedSetting
	for _, f := range flags {
		name := f.Names()[0]
		value := c.settings.values[name]
		if !c.settings.given(name) {
			value = cmp.Or(defaultText(f), value)
		}
		all = append(all, checkedSetting{name, withoutSecret(name, value), c.settings.sources[name].String(), slices.Contains(reloadable, name)})
	}
	if len(c.bots) > 0 {
		where := configfile.Source{Kind: configfile.InFile, Where: c.settings.file.At(botsSection)}
		all = append(all, checkedSetting{botsSection, describeBots(c.bots), where.String(), false})
		for _, b := range c.bots {
			all = append(all, b.describe()...)
		}
	}
	return all
}

// withoutSecret returns the value of a setting as anyone may see it.
func withoutSecret(name, value string) string {
	if name == "token" && value != "" {
		value = "(hidden)"
	}
	if name == "database" && value != "" {
		value, _ = hidden(value)
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		value = u.Redacted()
	}
	return value
}

// defaultText is what the help shows as the default of a flag that needs words for it.
func defaultText(f cli.Flag) string {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return f.DefaultText
	case *cli.StringSliceFlag:
		return f.DefaultText
	}
	return ""
}

// count is a number of things, in words.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// hidden returns the address of a database without its password. An address that
// cannot be read is not shown at all.
func hidden(address string) (string, error) {
	shown, err := server.DescribeDatabase(address)
	return cmp.Or(shown, "(hidden)"), err
}

// examine makes the checks.
func (c *serverConfig) examine(ctx context.Context, r *report, offline bool) {
	var err error
	if c.access.authFile != "" {
		r.Clients, err = c.describeClients(ctx)
		r.add("auth-file", count(len(r.Clients), "client"), err)
	}
	if err := c.hooks.check(); err != nil || c.hooks.file != "" {
		if err == nil {
			r.Hooks, err = server.DescribeHooks(ctx, c.hooks.file, c.hooks.templates, c.hooks.inline, c.access.authFile != "", c.botNames()...)
		}
		r.add("hooks-file", count(len(r.Hooks), "hook"), err)
	}
	if c.onlyFiles() {
		return
	}
	err = c.settings.locate(cmp.Or(c.check(), c.gateway.checkPresence()))
	r.add("settings", "", err)
	if err != nil {
		return
	}
	c.examineTokens(ctx, r, offline)
	if c.access.tlsCert != "" {
		detail, err := c.examineTLS(ctx)
		r.add("tls", detail, err)
	}
	c.examineData(ctx, r)
	c.examinePort(ctx, r)
	if config, err := c.config(); err == nil { // else another check reports it
		if err := server.CheckAddress(config, c.addresses(ctx)); err != nil {
			r.add("host", "", c.settings.locate(err))
		}
	}
}

// botNames returns the names that files of clients and hooks can use for bots. None means
// that the bots are not known.
func (c *serverConfig) botNames() []string {
	if c.onlyFiles() {
		return nil
	}
	config, err := c.config()
	if err != nil { // another check reports it
		return nil
	}
	return server.BotNames(config)
}

func (c *serverConfig) describeClients(ctx context.Context) ([]string, error) {
	data, err := c.access.inline, error(nil)
	if data == nil {
		if data, err = server.ReadFile(ctx, c.access.authFile); err != nil {
			return nil, fmt.Errorf("cannot read the auth file: %w", err)
		}
	}
	lines, err := server.DescribeClients(data, c.botNames()...)
	if err != nil {
		return nil, fmt.Errorf("auth file %s: %w", c.access.authFile, err)
	}
	return lines, nil
}

// examineTokens asks Discord once about each token.
func (c *serverConfig) examineTokens(ctx context.Context, r *report, offline bool) {
	if c.sandbox {
		r.skip("token", "the sandbox uses its own token")
		return
	}
	if len(c.bots) == 0 {
		c.examineToken(ctx, r, offline, "token", c.token, c.credential())
		return
	}
	config, err := c.config()
	if err == nil {
		err = c.settings.locate(nameFlag(server.CheckBots(ctx, config)))
	}
	r.add(botsSection, count(len(c.bots), "bot"), err)
	for _, b := range c.bots {
		c.examineToken(ctx, r, offline, "token of "+b.name, b.token, b.tokenFile)
	}
}

func (c *serverConfig) examineToken(ctx context.Context, r *report, offline bool, check, token, file string) {
	if token == "" && file != "" {
		data, err := server.ReadFile(ctx, file)
		if err != nil {
			r.add(check, "", fmt.Errorf("cannot read the token file: %w", err))
			return
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			r.add(check, "", fmt.Errorf("token file %s is empty", file))
			return
		}
	}
	if token == "" {
		r.add(check, "", server.ErrNoToken)
		return
	}
	client, err := discord.New(discord.Config{Token: token, BaseURL: c.apiURL, Upstream: discord.NewUpstream(c.connectTimeout), RetryFor: -1})
	if err != nil || offline {
		r.add(check, "Discord was not asked", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout+10*time.Second)
	defer cancel()
	name, err := client.CheckToken(ctx)
	if err != nil {
		err = fmt.Errorf("Discord does not accept the token, or cannot be reached: %w", err)
	}
	r.add(check, "valid; the bot is "+name, err)
}

// examineTLS reads certificate, key and authorities.
func (c *serverConfig) examineTLS(ctx context.Context) (string, error) {
	var contents [][]byte
	for _, path := range []string{c.access.tlsCert, c.access.tlsKey} {
		data, err := server.ReadFile(ctx, path)
		if err != nil {
			return "", fmt.Errorf("cannot read a TLS file: %w", err)
		}
		contents = append(contents, data)
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return "", fmt.Errorf("--tls-cert and --tls-key do not match: %w", err)
	}
	if c.access.tlsCAs != "" {
		data, err := server.ReadFile(ctx, c.access.tlsCAs)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
			err = errors.New("there is no certificate in --tls-client-ca")
		}
		if err != nil {
			return "", err
		}
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return "", fmt.Errorf("the certificate expired on %s", end.UTC().Format(time.DateOnly))
	}
	return "the certificate expires on " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly), nil
}

// examineDatabase connects to the database. It changes nothing there.
func (c *serverConfig) examineDatabase(ctx context.Context) (string, error) {
	address := c.data.database
	if address == "" {
		data, err := server.ReadFile(ctx, c.data.databaseFile)
		if err != nil {
			return "", fmt.Errorf("cannot read the database file: %w", err)
		}
		address = strings.TrimSpace(string(data))
	}
	shown, err := hidden(address)
	if err != nil {
		return "", err
	}
	return shown + " can be used", server.CheckDatabase(ctx, address)
}

// examineData looks whether a server could use the data folder, or the database.
func (c *serverConfig) examineData(ctx context.Context, r *report) {
	if c.data.onDatabase() {
		detail, err := c.examineDatabase(ctx)
		r.add("database", detail, err)
		return
	}
	config := server.Config{}
	switch {
	case c.data.off:
		r.skip("data", "nothing survives a restart, because of --no-data")
		return
	case c.sandbox && c.data.folder == "":
		r.skip("data", "the sandbox uses a temporary folder")
		return
	}
	if _, err := c.data.apply(&config, false); err != nil || config.DataFolder == "" {
		r.skip("data", "there is no home folder: nothing survives a restart")
		return
	}
	detail, err := server.InspectData(ctx, config.DataFolder)
	r.add("data", detail, err)
}

// addresses returns where the server would listen, without names that cannot be looked up:
// the check of the port reports these.
func (c *serverConfig) addresses(ctx context.Context) (all server.Addresses) {
	hosts, _ := parseHosts(c.host) // was checked
	for _, host := range hosts {
		if path, socket := server.SocketPath(host); socket {
			all = append(all, &net.UnixAddr{Name: path, Net: "unix"})
			continue
		}
		found := []string{host}
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			found, _ = net.DefaultResolver.LookupHost(ctx, host)
		}
		for _, address := range found {
			// An empty host is every address, as is an address without a value.
			ip, _ := netip.ParseAddr(address)
			all = append(all, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(c.port)))) //nolint:gosec // was checked
		}
	}
	return all
}

// examinePort opens the port for a moment.
func (c *serverConfig) examinePort(ctx context.Context, r *report) {
	hosts, _ := parseHosts(c.host) // was checked
	var listen net.ListenConfig
	for _, host := range hosts {
		if _, socket := server.SocketPath(host); socket {
			r.skip("port", host+" is not opened")
			continue
		}
		address := net.JoinHostPort(host, strconv.Itoa(c.port))
		lis, err := listen.Listen(ctx, "tcp", address)
		if err == nil {
			err = lis.Close()
		} else {
			err = fmt.Errorf("cannot listen on %s, perhaps because the server runs: %w", address, err)
		}
		r.add("port", address+" is free", err)
	}
}

// failures names the checks that failed.
func (r *report) failures() string {
	text := ""
	for _, f := range r.Checks {
		if f.Result == "failed" {
			if text != "" {
				text += "; "
			}
			text += f.Check + ": " + f.Detail
		}
	}
	return text
}

func (r *report) write(w io.Writer, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.Settings {
		note := ""
		if s.Reload {
			note = "  reload"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s%s\n", s.Name, s.Value, s.Source, note)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range slices.Concat(r.Clients, r.Hooks) {
		_, _ = fmt.Fprintln(w, line)
	}
	if len(r.Settings) == 0 {
		return nil
	}
	for _, f := range r.Checks {
		line := f.Result + ": " + f.Check
		if f.Detail != "" {
			line += ": " + f.Detail
		}
		_, _ = fmt.Fprintln(w, line)
	}
	_, err := fmt.Fprintln(w, "A reload applies changes of settings marked \"reload\"; others need a restart.")
	return err
}
