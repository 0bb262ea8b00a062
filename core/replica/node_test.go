package replica_test

import (
	"fmt"
	"reflect"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

func init() {
	moreCases = append(moreCases, func(w *town) map[reflect.Type]tripsCase {
		name := func(i int) string { return fmt.Sprint("edge-", i) }
		admit := func(i int) core.Entry { return w.Entry(command.Caller{}, admitted(name(i), 1)) }
		return map[reflect.Type]tripsCase{
			reflect.TypeFor[command.AdmitNodes](): {do: admit},
			reflect.TypeFor[command.RenewNode](): {ready: func(i int) []core.Entry { return []core.Entry{admit(i)} }, do: func(i int) core.Entry {
				return w.Entry(command.Caller{}, &command.RenewNode{Name: name(i), Was: core.NodeKey{1}, Key: core.NodeKey{2}})
			}},
			reflect.TypeFor[command.RevokeNode](): {ready: func(i int) []core.Entry { return []core.Entry{admit(i)} }, do: func(i int) core.Entry {
				return w.Entry(command.Caller{}, &command.RevokeNode{Name: name(i)})
			}},
		}
	})
	alone = append(alone, reflect.TypeFor[command.RenewNode](), reflect.TypeFor[command.RevokeNode]())
	worstKinds["many nodes"] = func(w *town, _ uint64, _ float64) (ready []core.Entry, e core.Entry) {
		var names []string
		for i := range core.MaxNodesOnce - 1 {
			names = append(names, fmt.Sprint("many-", i))
		}
		var all command.AdmitNodes
		for _, n := range names {
			all.Nodes = append(all.Nodes, admitted(n, 1).Nodes[0])
		}
		all.Nodes = append(all.Nodes, admitted("", 1).Nodes[1])
		return nil, w.Entry(command.Caller{}, &all)
	}
}

func admitted(name string, key byte) *command.AdmitNodes {
	return &command.AdmitNodes{Nodes: []core.Node{{Name: name, Region: "here", Roles: "edge", Key: core.NodeKey{key}}, {Name: "home", Region: "here", Roles: "home", Key: core.NodeKey{1}}}}
}
