package serve

import (
	"os"
	"path/filepath"
)

// tokenCredential is the name under which systemd can hand over the token.
// https://systemd.io/CREDENTIALS/
const tokenCredential = "discord-bot-token"

// credential returns the file with the token, which a token goes before: that of the
// flag, else the credential of systemd, "" without both.
func (c *serverConfig) credential() string {
	if folder := os.Getenv("CREDENTIALS_DIRECTORY"); c.tokenFile == "" && folder != "" {
		if path := filepath.Join(folder, tokenCredential); isFile(path) {
			return path
		}
	}
	return c.tokenFile
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
