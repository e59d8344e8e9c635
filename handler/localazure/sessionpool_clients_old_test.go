package localazure_test

// nestedClients are those that speak 2024-02-02-preview.
func nestedClients() []foreignClient {
	const (
		execute = `{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"value 42"}}`
		result  = `{"properties":{"status":"Success","result":42,"stdout":"","stderr":""}}`
		query   = "?identifier=5f7c4c5a-6f0b-4c7e-9a38-0d3d1e4c7f10&api-version=2024-02-02-preview"
		swapped = "?api-version=2024-02-02-preview&identifier=5f7c4c5a-6f0b-4c7e-9a38-0d3d1e4c7f10"
		newer   = "?identifier=5f7c4c5a-6f0b-4c7e-9a38-0d3d1e4c7f10&api-version=2025-10-02-preview"
		octets  = "Content-Type: application/octet-stream"
	)
	multipart := map[string]string{"Content-Type": "multipart/form-data; boundary=0a1b2c3d4e5f60718293a4b5c6d7e8f9"}
	requestsForm := func(name string) string { // as Python's requests writes it
		return part("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1,2", `Content-Disposition: form-data; name="file"; filename="`+name+`"`, octets)
	}
	download := foreignCall{"download", "GET", "/files/content/data.csv" + query, nil, "", 200, "1,2"}
	list := foreignCall{"list", "GET", "/files" + query, nil, "", 200, wantFile}
	return []foreignClient{
		{"LangChain for Python",
			"langchain-ai/langchain-azure libs/azure-dynamic-sessions/langchain_azure_dynamic_sessions/tools/sessions.py", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/code/execute" + query, asJSON, execute, 200, result},
				{"upload", "POST", "/files/upload" + query, multipart, requestsForm("data.csv"), 200, wantFile},
				download, list,
				{"download what is not there", "GET", "/files/content/none.csv" + query, nil, "", 404, ""},
				{"delete the session", "DELETE", "/session" + newer, nil, "", 204, ""},
				{"list in a fresh one", "GET", "/files" + query, nil, "", 200, `{"value":[]}`},
			}},
		{"LangChain for JavaScript, with its user's token provider",
			"langchain-ai/langchainjs libs/langchain-azure-dynamic-sessions/src/tools.ts", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/code/execute" + query, asJSON, execute, 200, result},
				{"upload", "POST", "/files/upload" + query, map[string]string{"Content-Type": "multipart/form-data; boundary=----formdata-undici-012345678901"},
					part("----formdata-undici-012345678901", "1,2", `Content-Disposition: form-data; name="file"; filename="data.csv"`, octets), 200, wantFile},
				download, list,
			}},
		{"LangChain for JavaScript, with its own token provider",
			"langchain-ai/langchainjs libs/langchain-azure-dynamic-sessions/src/tools.ts", "https://acasessions.io",
			[]foreignCall{{"execute", "POST", "/code/execute" + query, asJSON, execute, 401, ""}}},
		{"Semantic Kernel for Python",
			"microsoft/semantic-kernel python/semantic_kernel/core_plugins/sessions_python_tool/sessions_python_plugin.py", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/code/execute" + query, asJSON,
					`{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"value 42","timeoutInSeconds":100}}`, 200, result},
				{"execute what raises", "POST", "/code/execute" + query, asJSON,
					`{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"raised Traceback","timeoutInSeconds":100}}`, 200,
					`{"properties":{"status":"Failure","result":"","stdout":"before","stderr":"Traceback"}}`},
				{"upload", "POST", "/files/upload" + query, multipart, requestsForm("/mnt/data/data.csv"), 200, wantFile},
				list, download,
			}},
		{"Semantic Kernel for .NET, before its move to 2024-10-02-preview",
			"microsoft/semantic-kernel dotnet/src/Plugins/Plugins.Core/CodeInterpreter/SessionsPythonPlugin.cs", sessionAudience,
			[]foreignCall{ // it was a bug of theirs: github.com/microsoft/semantic-kernel/issues/6934
				{"execute", "POST", "/python/execute?api-version=2024-02-02-preview", asJSON,
					`{"properties":{"identifier":"one-1","codeInputType":"Inline","executionType":"Synchronous","timeoutInSeconds":100,"pythonCode":"value 42"}}`, 400, `{"error":{"code":"SessionRequestNotSupported"}}`},
				{"download", "GET", "/python/downloadFile" + query + "&filename=data.csv", nil, "", 400, `{"error":{"code":"SessionRequestNotSupported"}}`},
			}},
		{"AutoGen",
			"microsoft/autogen python/packages/autogen-ext/src/autogen_ext/code_executors/azure/_azure_container_code_executor.py", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/code/execute" + swapped, asJSON, execute, 200, result},
				{"ask for packages", "POST", "/code/execute" + swapped, asJSON,
					`{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"value ['pip',\n 'numpy']"}}`, 200, `{"properties":{"status":"Success","result":"['pip',\n 'numpy']"}}`},
				{"upload", "POST", "/files/upload" + swapped, multipart, // as aiohttp writes it
					part("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1,2", octets, `Content-Disposition: form-data; name="file"; filename="data.csv"`), 200, ""},
				{"list", "GET", "/files" + swapped, nil, "", 200, wantFile},
				{"download", "GET", "/files/content/data.csv" + swapped, nil, "", 200, "1,2"},
			}},
		{"LlamaIndex for Python",
			"run-llama/llama_index llama-index-integrations/tools/llama-index-tools-azure-code-interpreter/llama_index/tools/azure_code_interpreter/base.py", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/code/execute" + query, asJSON, `{"properties":{"codeInputType":"inline","executionType":"synchronous","code":"value 42\n"}}`, 200, ""},
				{"upload", "POST", "/files/upload" + query, multipart, requestsForm("/mnt/data/data.csv"), 200, wantFile},
				download, list,
			}},
		{"LlamaIndex for TypeScript",
			"run-llama/LlamaIndexTS packages/llamaindex/src/tools/AzureDynamicSessionTool.node.ts", sessionAudience,
			[]foreignCall{
				{"upload", "POST", "/files/upload" + query, map[string]string{"Content-Type": "multipart/form-data; boundary=----formdata-undici-012345678901"},
					part("----formdata-undici-012345678901", "1,2", `Content-Disposition: form-data; name="file"; filename="folder/data.csv"`, octets), 200, wantFile},
				download, list,
				{"execute, by a path of no known version", "POST", "/python/execute" + query, asJSON,
					`{"properties":{"identifier":"5f7c4c5a-6f0b-4c7e-9a38-0d3d1e4c7f10","codeInputType":"inline","executionType":"synchronous","pythonCode":"value 42"}}`, 400, `{"error":{"code":"SessionRequestNotSupported"}}`},
			}},
		{"langchain4j",
			"langchain4j/langchain4j code-execution-engines/langchain4j-code-execution-engine-azure-acads/src/main/java/dev/langchain4j/code/azure/acads/SessionsREPLTool.java", sessionAudience,
			[]foreignCall{
				{"execute", "POST", "/code/execute" + query, asJSON, `{"properties":{"code":"value 42","executionType":"synchronous","codeInputType":"inline"}}`, 200, result},
				{"upload", "POST", "/files/upload" + query, map[string]string{"Content-Type": "multipart/form-data; boundary=----1717171717171"},
					part("----1717171717171", "1,2", `Content-Disposition: form-data; name="file"; filename="data.csv"`, "Content-Type: application/json"), 200, wantFile},
				download, list,
			}},
	}
}
