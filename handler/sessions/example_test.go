package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"keyless/handler/sessions"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// A pool is known by its management endpoint, and reached with any credential
// of azidentity that has the role Azure ContainerApps Session Executor on it.
func ExampleNew() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	pool, err := sessions.New("https://eastus.dynamicsessions.io/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/sessionPools/pool", credential, nil)
	if err != nil {
		log.Fatal(err)
	}
	execution, err := pool.Execute(context.Background(), sessions.NewIdentifier(), sessions.ExecuteRequest{Code: "1+1"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(execution.ResultText())
}

// An older api-version, a pool in another cloud, and a line in the log for
// each call, with the service's own timings.
func ExampleOptions() {
	var options sessions.Options
	options.APIVersion = "2025-02-02-preview"
	options.AllowedHosts = []string{"*.azurecontainerapps.us"}
	options.OnCall = func(_ context.Context, call sessions.Call) {
		fmt.Println(call.Operation, call.Status, call.Timings)
	}
	pool, done := examplePool(&options)
	defer done()
	_, err := pool.Execute(context.Background(), "session-1", sessions.ExecuteRequest{Code: "print('hello'); 42"})
	show(err)
	// Output: execute in a session 200 map[X-Ms-Overall-Execution-Time:12]
}

// What comes of code is one of three.
func ExampleClient_Execute() {
	pool, done := examplePool(nil)
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // bounds the run as well
	defer cancel()
	execution, err := pool.Execute(ctx, sessions.NewIdentifier(), sessions.ExecuteRequest{
		Code:           "print('hello')\n42",
		MaxStreamChars: 20000,
	})
	switch {
	case err != nil:
		fmt.Println("no outcome is known:", err)
	case execution.Status == sessions.Failed:
		fmt.Println("the code failed:", execution.Failure, execution.Stderr)
	default:
		fmt.Printf("%q %s in %v\n", execution.Stdout, execution.ResultText(), execution.Duration)
	}
	// Output: "hello\n" 42 in 7ms
}

// The value of the last expression, by its type.
func ExampleExecution() {
	for _, result := range []string{`42`, `"nan"`, `"'text'"`, `null`, `""`, `"array([1, 2])"`, `{"type":"image","format":"png","base64_data":"iVBORw=="}`} {
		execution := sessions.Execution{Result: []byte(result)}
		if number, ok := execution.Number(); ok {
			fmt.Println("number", number)
		} else if text, ok := execution.Str(); ok {
			fmt.Println("str", text)
		} else if format, data, ok := execution.Image(); ok {
			fmt.Println(format, "image of", len(data), "bytes")
		} else {
			fmt.Printf("repr %q, None: %v\n", execution.ResultText(), execution.IsNone())
		}
	}
	// Output:
	// number 42
	// number NaN
	// str text
	// repr "None", None: true
	// repr "", None: false
	// repr "array([1, 2])", None: false
	// png image of 4 bytes
}

// Code that takes long is started, and waited for: here, or later and
// elsewhere by its id.
func ExampleClient_StartExecution() {
	pool, done := examplePool(nil)
	defer done()
	ctx := context.Background()
	started, err := pool.StartExecution(ctx, "session-1", sessions.ExecuteRequest{Code: "train()"})
	if err != nil {
		log.Fatal(err)
	}
	ended, err := pool.WaitExecution(ctx, "session-1", &sessions.Execution{ID: started.ID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(started.ID, ended.Status)
	// Output: e1 Succeeded
}

// A file goes in, code works on it, and a file comes out. Neither is ever held
// in memory as a whole.
func ExampleClient_Upload() {
	pool, done := examplePool(nil)
	defer done()
	ctx := context.Background()
	file, err := pool.Upload(ctx, "session-1", "in/sales.csv", strings.NewReader("a,b\n1,2\n"), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("code finds it at /mnt/data/"+file.Path(), file.Size)
	// Output: code finds it at /mnt/data/in/sales.csv 8
}

func ExampleClient_Download() {
	pool, done := examplePool(nil)
	defer done()
	content, err := pool.Download(context.Background(), "session-1", "out/sales.csv", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer content.Close()
	_, err = io.Copy(os.Stdout, content)
	show(err)
	// Output:
	// a,b
	// 1,2
}

func ExampleClient_ListFiles() {
	pool, done := examplePool(nil)
	defer done()
	for file, err := range pool.ListFiles(context.Background(), "session-1", "", true) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(file.Path(), file.IsDir, file.Size)
	}
	// Output:
	// in true 0
	// in/sales.csv false 8
}

// A handle looks after one session. It prints as an alias, so that it can be
// logged.
func ExampleClient_NewSession() {
	pool, done := examplePool(nil)
	defer done()
	ctx := context.Background()
	session := pool.NewSession(&sessions.SessionOptions{EndOnCancel: true})
	defer func() { show(session.Close(ctx)) }()
	for _, code := range []string{"x = 41", "print('hello')\nx + 1"} {
		execution, err := session.Execute(ctx, sessions.ExecuteRequest{Code: code})
		if err != nil {
			slog.Error("cannot run code", "session", session, "error", err)
			return
		}
		if execution.Lost != sessions.NothingLost {
			fmt.Println("the session lost", execution.Lost)
		}
		fmt.Print(execution.Stdout)
	}
	// Output:
	// hello
	// hello
}

// An identifier that need not be kept: the same owner gets the same session.
func ExampleDeriveIdentifier() {
	secret := []byte("a key that nobody can guess")
	identifier, err := sessions.DeriveIdentifier(secret, "tenant", "user", "conversation")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(identifier), "hexadecimal digits")
	// Output: 64 hexadecimal digits
}

// All sessions of a pool, to end those that nobody needs.
func ExampleClient_ListSessions() {
	pool, done := examplePool(nil)
	defer done()
	ctx := context.Background()
	for info, err := range pool.ListSessions(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("ends by itself at", info.ExpiresAt.Format(time.TimeOnly))
		show(pool.DeleteSession(ctx, info.Identifier))
	}
	// Output:
	// ends by itself at 03:09:05
	// ends by itself at 03:14:05
}

func ExampleClient_Metadata() {
	pool, done := examplePool(nil)
	defer done()
	metadata, err := pool.Metadata(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range append(metadata.Runtimes, metadata.Packages...) {
		fmt.Println(p.Name, p.Version)
	}
	// Output:
	// Python 3.12.7
	// numpy 1.26.4
	// pandas 2.2.2
}

// A pool of containers of one's own takes requests of any kind.
func ExampleClient_Forward() {
	pool, done := examplePool(&sessions.Options{CustomContainer: true})
	defer done()
	request, err := http.NewRequest(http.MethodPost, "/v1/greet", strings.NewReader("{}"))
	if err != nil {
		log.Fatal(err)
	}
	response, err := pool.Forward("session-1", request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	show(err)
	fmt.Println(response.StatusCode, string(body))
	// Output: 200 hello from the container
}

// What an error is about is told by errors.Is; what to do about it may be in
// its hint.
func ExampleError() {
	pool, done := examplePool(nil)
	done() // nothing answers any more
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := pool.Execute(ctx, "a b", sessions.ExecuteRequest{Code: "1"})
	if e, ok := errors.AsType[*sessions.Error](err); ok {
		fmt.Println(errors.Is(err, sessions.ErrBadRequest), e.MayHaveRun, e.Message)
	}
	// Output: true false The session identifier must be 4 to 128 letters, digits, hyphens or other ASCII signs, without spaces.
}
