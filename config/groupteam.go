package config

import (
	"errors"
	"fmt"
	"strings"
)

// GroupTeam is the team of a group of the identity provider, written group=team.
type GroupTeam struct{ Group, Team string }

// String returns group=team.
func (g GroupTeam) String() string { return g.Group + "=" + g.Team }

// parseGroupTeams reads several, on lines of their own or separated by
// semicolons. Groups may have commas and equals signs in their names, as those of
// a directory do.
func parseGroupTeams(text string) ([]GroupTeam, error) {
	var list []GroupTeam
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		at := strings.LastIndex(item, "=")
		if at < 1 || at == len(item)-1 {
			return nil, fmt.Errorf("%s is not group=team", shown(item))
		}
		one := GroupTeam{strings.TrimSpace(item[:at]), strings.TrimSpace(item[at+1:])}
		for _, other := range list {
			if other.Group == one.Group {
				return nil, errors.New("names the group " + shown(one.Group) + " twice")
			}
		}
		list = append(list, one)
	}
	return list, nil
}
