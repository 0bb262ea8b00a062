// Package access says who may ask for what: it finds out who somebody is and where they belong,
// and has the policies that several areas of the API need. It answers no operation.
//
// What it knows is cached; ordered events say what to forget, so a change takes effect at once.
//
// An Access is safe for concurrent use once it has been made. It imports edge/api, and no area.
package access
