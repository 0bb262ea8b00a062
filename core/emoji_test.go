package core

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// What exists is decided by a list that is the same at every replica for ever. A name that comes later goes into the
// list of a later log version.
func TestEmojiExists(t *testing.T) {
	sum := sha256.Sum256([]byte(emojiList))
	if got := hex.EncodeToString(sum[:8]); got != "ca65b95d2b4c9cf1" {
		t.Errorf("the list of log version 1 has changed: its hash is %s", got)
	}
	for name, want := range map[string]bool{
		"smile": true, "+1": true, "-1": true, "flag-de": true, "de": true, "mattermost": true, "female-technologist": true,
		"+1_dark_skin_tone": true, "handshake_light_skin_tone_medium_dark_skin_tone": true,
		"smile_dark_skin_tone": false, "+1_dark_skin_tone_dark_skin_tone": false, "_dark_skin_tone": false,
		"": false, "-": false, "SMILE": false, ":smile:": false, "smile 1": false, "wave 1": false, "smile\n": false, "definitely_not_an_emoji": false,
		strings.Repeat("_dark_skin_tone", 1000): false,
	} {
		if EmojiExists(name) != want {
			t.Errorf("an emoji %q exists: %v, want %v", name, !want, want)
		}
	}
	for line := range strings.Lines(emojiList) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); !EmojiExists(name) || !ValidEmojiName(name) {
			t.Errorf("%q is in the list and does not exist", name)
		}
	}
}
