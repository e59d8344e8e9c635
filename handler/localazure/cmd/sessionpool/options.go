package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// options are what the command line says.
type options struct {
	port          string
	maxSessions   int
	cooldown      time.Duration
	full          int
	tokenLifetime time.Duration
	withoutIDs    bool
	cacheDir      string
	verbose       bool
}

// parseOptions reads args. What is wrong with them is also written to w, with
// the usage.
func parseOptions(args []string, w io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("sessionpool", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&o.port, "port", "7075", "`port` of 127.0.0.1 to serve on; 0: any that is free")
	flags.IntVar(&o.maxSessions, "max-sessions", 20, "how `many` sessions there may be at once")
	flags.DurationVar(&o.cooldown, "cooldown", 300*time.Second, "how `long` a session lives after the last call")
	flags.IntVar(&o.full, "full", http.StatusNotFound, "`status` for a session too many: 404, as documented, or 429")
	flags.DurationVar(&o.tokenLifetime, "token-lifetime", 24*time.Hour, "how `long` tokens are good")
	flags.BoolVar(&o.withoutIDs, "without-ids", false, `leave out the "$id" keys of answers`)
	flags.StringVar(&o.cacheDir, "cache", "", "`directory` for the compiled interpreter (default: in the user's cache directory)")
	flags.BoolVar(&o.verbose, "v", false, "log each execution and each interpreter that starts and ends; never code or output")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	return o, o.check(flags.Args())
}

// check says what is wrong with the options.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.maxSessions < 1:
		return fmt.Errorf("-max-sessions %d: want at least 1", o.maxSessions)
	case o.cooldown <= 0:
		return fmt.Errorf("-cooldown %v: want more than none", o.cooldown)
	case o.tokenLifetime <= 0:
		return fmt.Errorf("-token-lifetime %v: want more than none", o.tokenLifetime)
	case o.full != http.StatusNotFound && o.full != http.StatusTooManyRequests:
		return fmt.Errorf("-full %d: want 404 or 429", o.full)
	}
	return nil
}

// level returns from which level on to log.
func (o options) level() slog.Level {
	if o.verbose {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}
