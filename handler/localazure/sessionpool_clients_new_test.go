package localazure_test

// flatClients are those that speak the versions from 2024-10-02-preview on.
func flatClients() []foreignClient {
	const (
		octets  = "Content-Type: application/octet-stream"
		kernel  = "?identifier=5f7c4c5a-6f0b-4c7e-9a38-0d3d1e4c7f10&api-version=2024-10-02-preview"
		bash    = "?identifier=5f7c4c5a-6f0b-4c7e-9a38-0d3d1e4c7f10&api-version=2025-02-02-preview"
		cli     = "identifier=testSession&api-version=2025-02-02-preview"
		sample  = "?api-version=2024-10-02-preview&identifier=test-identifier"
		isFile  = `{"name":"data.csv","type":"file","sizeInBytes":3}`
		hasFile = `{"value":[` + isFile + `]}`
	)
	multipart := map[string]string{"Content-Type": "multipart/form-data; boundary=0a1b2c3d4e5f60718293a4b5c6d7e8f9"}
	file := `Content-Disposition: form-data; name="file"; filename="data.csv"`
	return []foreignClient{
		{"Semantic Kernel for .NET",
			"microsoft/semantic-kernel dotnet/src/Plugins/Plugins.Core/CodeInterpreter/SessionsPythonPlugin.cs, SessionsPythonCodeExecutionProperties.cs", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/executions" + kernel, map[string]string{"Content-Type": "application/json; charset=utf-8"},
					`{"codeInputType":"Inline","executionType":"Synchronous","timeoutInSeconds":100,"code":"value 42"}`, 202,
					`{"status":"Succeeded","result":{"executionResult":42,"stdout":"","stderr":""}}`},
				{"upload", "POST", "/files" + kernel, map[string]string{"Content-Type": `multipart/form-data; boundary="6b1f1d3c-1f4e-4d3a-8f61-2a7f7b9f0e55"`}, // as .NET writes it
					part("6b1f1d3c-1f4e-4d3a-8f61-2a7f7b9f0e55", "1,2", "Content-Disposition: form-data; name=file; filename=data.csv; filename*=utf-8''data.csv"), 200, isFile},
				{"download", "GET", "/files/data.csv/content" + kernel, nil, "", 200, "1,2"},
				{"list", "GET", "/files" + kernel, nil, "", 200, hasFile},
			}},
		{"LangChain's bash tool, on a pool that is not its kind",
			"langchain-ai/langchain-azure libs/azure-dynamic-sessions/langchain_azure_dynamic_sessions/tools/sessions.py", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/executions" + bash, asJSON, `{"shellCommand":"echo hello"}`, 400, `{"error":{"code":"SessionPropertiesMissing"}}`},
				{"upload", "POST", "/files" + bash + "&path=/mnt/data", multipart, part("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1,2", file, octets), 200, isFile},
				{"download", "GET", "/files/data.csv/content" + bash, nil, "", 200, "1,2"},
				{"list", "GET", "/files" + bash, nil, "", 200, hasFile},
			}},
		{"az containerapp session code-interpreter, but for its execute, of which the newest body is not known",
			"Azure/azure-cli-extensions src/containerapp/azext_containerapp/_clients.py", sessionAudience,
			[]foreignCall{
				{"upload-file", "POST", "/files?path=dir&" + cli, multipart, part("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1,2", file), 200, isFile},
				{"list-files", "GET", "/files?identifier=testSession&path=&api-version=2025-02-02-preview", asJSON, "", 200, `{"value":[{"name":"dir","type":"directory"}]}`},
				{"list-files --path", "GET", "/files?identifier=testSession&path=dir&api-version=2025-02-02-preview", asJSON, "", 200, hasFile},
				{"show-file-metadata", "GET", "/files/data.csv?path=dir&" + cli, asJSON, "", 200, isFile},
				{"show-file-content", "GET", "/files/data.csv/content?path=dir&" + cli, asJSON, "", 200, "1,2"},
				{"delete-file", "DELETE", "/files/data.csv?path=dir&" + cli, asJSON, "", 204, ""},
				{"delete-file again", "DELETE", "/files/data.csv?path=dir&" + cli, asJSON, "", 404, `{"error":{"code":"DeleteFileError"}}`},
			}},
		{"the curl commands of Microsoft's samples",
			"Azure-Samples/container-apps-dynamic-sessions-samples code-interpreter/2024-10-02-preview-and-after.md", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/executions" + sample, asJSON,
					`{"identifier":"test-identifier","codeInputType":"inline","executionType":"Synchronous","code":"value 42","timeoutInSeconds":100}`, 202,
					`{"identifier":"test-identifier","status":"Succeeded","result":{"executionResult":42}}`},
				{"submit", "POST", "/executions" + sample, asJSON,
					`{"identifier":"test-identifier","codeInputType":"inline","executionType":"Asynchronous","code":"count","timeoutInSeconds":100}`, 202,
					`{"executionType":"Asynchronous","result":null}`},
				{"upload", "POST", "/files" + sample + "&path=/mnt/data", map[string]string{"Content-Type": "multipart/form-data; boundary=------------------------0123456789abcdef"},
					part("------------------------0123456789abcdef", "1,2", file, "Content-Type: text/csv"), 200, isFile},
				{"metadata", "GET", "/files/data.csv" + sample, nil, "", 200, isFile},
				{"download", "GET", "/files/data.csv/content" + sample, nil, "", 200, "1,2"},
				{"list", "GET", "/files" + sample, nil, "", 200, hasFile},
				{"delete", "DELETE", "/files/data.csv" + sample, nil, "", 204, ""},
			}},
	}
}
