package sessions

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"
)

// pages returns the items of all pages of a list. op asks for the first; read
// takes a page apart, and returns the link to the next one or nothing.
func pages[T any](ctx context.Context, c *Client, op operation, read func([]byte) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		seen := map[string]bool{}
		for op := op; ; {
			items, link, err := page(ctx, c, op, read)
			if err != nil {
				yield(none, op.failed(err))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if link == "" {
				return
			}
			op.query, err = c.nextPage(link)
			if err == nil && seen[link] {
				err = &Error{kind: ErrProtocol, Message: "The list goes in a circle."}
			}
			if err != nil {
				yield(none, op.failed(err))
				return
			}
			seen[link] = true
		}
	}
}

func page[T any](ctx context.Context, c *Client, op operation, read func([]byte) ([]T, string, error)) ([]T, string, error) {
	_, data, err := c.send(ctx, op)
	if err != nil {
		return nil, "", err
	}
	return read(data)
}

// nextPage returns the query that leads to the next page. Nothing else of link
// is followed: its host must not get the token, and the service's links were
// seen to lack the pool's path.
func (c *Client) nextPage(link string) (url.Values, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, &Error{kind: ErrProtocol, Message: "The link to the next page is not a URL."}
	}
	if u.Host != "" && !strings.EqualFold(u.Host, c.endpoint.Host) || u.Scheme != "" && u.Scheme != c.endpoint.Scheme {
		return nil, &Error{kind: ErrRedirected, Message: fmt.Sprintf("The next page is at %.100q, which is not the pool's host; a token may not go there.", u.Scheme+"://"+u.Host)}
	}
	return u.Query(), nil
}
