package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tokenCredential is the name under which systemd can hand over the token.
// https://systemd.io/CREDENTIALS/
const tokenCredential = "discord-bot-token"

// botToken finds the token in the order flag, file, credential of systemd.
func (c *serverConfig) botToken(ctx context.Context) (string, error) {
	if c.token != "" {
		return c.token, nil
	}
	if folder := os.Getenv("CREDENTIALS_DIRECTORY"); c.tokenFile == "" && folder != "" {
		if path := filepath.Join(folder, tokenCredential); isFile(path) {
			c.tokenFile = path
		}
	}
	if c.tokenFile == "" {
		return "", nil
	}
	data, err := readSecret(ctx, c.tokenFile)
	if err != nil {
		return "", fmt.Errorf("cannot read the token file: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
