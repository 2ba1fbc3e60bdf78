// Package cli is the command line: its subcommands, their flags, what they
// print and how they exit. It is the only place that wires the other packages
// together.
//
// Main parses arguments and runs one subcommand. Each loads what the user
// wrote, prints every Problem on stderr, and then prints the result on stdout
// or serves until its context ends. The package holds no logic about traffic;
// it writes only to the streams that it is given.
package cli
