package core

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// MaxEmojiName is how many bytes the name of an emoji has at most.
const MaxEmojiName = 64

// emojiList has the names of the emoji that exist in log version 1, one in each line; a number after a name is of how
// many people the emoji shows the skin. Every replica decides by this list, so it never changes: later names come in
// a list of a later log version. The names are those of emoji-datasource, which existing clients use.
//
//go:embed emoji_v1.txt
var emojiList string

var emojiNames = sync.OnceValue(func() map[string]int {
	names := make(map[string]int, 2000)
	for line := range strings.Lines(emojiList) {
		name, people, _ := strings.Cut(strings.TrimSpace(line), " ")
		names[name], _ = strconv.Atoi(people)
	}
	return names
})

// skinTones are what the name of an emoji has after it, each with "_", once for each person.
var skinTones = [...]string{"medium_light_skin_tone", "medium_dark_skin_tone", "light_skin_tone", "medium_skin_tone", "dark_skin_tone"}

// EmojiExists reports whether there is an emoji with a name. Names are in lower case.
func EmojiExists(name string) bool {
	if len(name) > MaxEmojiName {
		return false
	}
	for tones := 0; ; tones++ {
		if people, ok := emojiNames()[name]; ok {
			return tones <= people
		}
		shorter := withoutTone(name)
		if shorter == name {
			return false
		}
		name = shorter
	}
}

func withoutTone(name string) string {
	for _, tone := range skinTones {
		if base, ok := strings.CutSuffix(name, "_"+tone); ok {
			return base
		}
	}
	return name
}

// ValidEmojiName reports whether name has the form of an emoji's.
func ValidEmojiName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_"
	return name != "" && len(name) <= MaxEmojiName && strings.Trim(name, allowed) == ""
}
