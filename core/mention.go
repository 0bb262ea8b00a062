package core

import "strings"

// maxNames is how many names a word of a message can stand for; every one costs a look at the table of users.
const maxNames = 8

// NamesIn gives the names that the word after an "@" may stand for, in the order in which they are tried. "ann.b" may be
// somebody's name, or "ann" at the end of a sentence whose next one begins without a space; "ann_b" is only itself.
func NamesIn(word string) (names []string) {
	for word != "" && len(names) < maxNames {
		if len(word) <= MaxUsername {
			names = append(names, word)
		}
		shorter := strings.TrimRight(word, ".-_")
		if shorter == word {
			shorter = strings.TrimRight(word[:strings.LastIndexAny(word, ".-")+1], ".-_")
		}
		word = shorter
	}
	return names
}

// MentionsEveryone reports whether a name after "@" means everybody in the channel. It is nobody's name.
func MentionsEveryone(name string) bool { return name == "all" || name == "channel" }

// MentionHere is the name after "@" that means whoever in the channel is online; it is nobody's.
const MentionHere = "here"

// MaxHere is how many members a channel may have for a mention of those who are online; the clients' setting says the same.
const MaxHere = 1000

// HearsEveryone reports whether a mention of everybody is one of the user.
func (u *User) HearsEveryone() bool { return u.NotifyProps["channel"] != "false" }
