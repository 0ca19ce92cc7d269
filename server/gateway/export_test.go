package gateway

// Operations is operations, for tests.
var Operations = operations
