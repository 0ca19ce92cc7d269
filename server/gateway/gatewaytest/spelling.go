package gatewaytest

// Spellings returns paths that servers read differently, with an X in the place
// of a last segment: each gets to /files/X in one server or another. None may be
// allowed, whatever the policy says of /files/X.
func Spellings() []string {
	return []string{
		"/files/../files/X", "/files/./X", "/files/a/../X", "/files/..", "/files/X/..",
		"/files/..%2fX", "/files/%2e%2e/X", "/files/%2E%2E/X", "/files/.%2e/X", "/files/%2e/X",
		"/files/%252e%252e/X", "/files/%2558", "/files/..;/X", "/files/..;a=b/X", "/files/X;x",
		"/files/;/X", `/files\X`, "/files/%5cX", `/files/..\X`, "/files/%c0%ae%c0%ae/X",
		"/files/%c0%afX", "//files/X", "/files//X", "/files/X//", "/files%2fX",
		"/files%2FX", "/files/X%00", "/files/X%00.html", "/files/X%0a", "/files/X%0d%0aHost:%20a",
		"/files/X%09", "/files/X#x", "/#/../files/X", "/files/\uff0e\uff0e/X", "/files/%ef%bc%8e%ef%bc%8e/X",
		"/files\uff0fX", "/files%ef%bc%8fX", "http://shop.example/files/X", "*", "/files/%",
		"/files/%zz/X", "/FILES/X",
	}
}
