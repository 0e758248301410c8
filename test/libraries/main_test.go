package libraries_test

import (
	"testing"

	"discordproxy/test/require"
)

func TestMain(m *testing.M) { require.Main(m) }
