// Command endure runs `nearside demo` for an hour, or as long as it is told, while people use it, one account abuses it,
// a hostile edge with a valid certificate attacks home, and every minute a process is killed with -9. At the end it says
// what was lost, doubled or changed, how long people waited while they were attacked and while they were not, and how
// memory went. The exit code is 1 if a promise was broken.
//
// Each minute begins with a quiet part, in which only people use the deployment. Then the abusive account and
// the hostile edge work. Then, while they go on, a process is killed, and this part lasts until it works again: what
// people wait for then is told apart. The load is open: a request begins when it is due, whether or not earlier ones are
// answered, so that a stall counts for everybody who would have waited.
//
// It runs on the same machine as the program, and uses little of it.
package main
