// The suites of what is counted and told of connections. They count bytes of the transport.
import '../connection/connection-report.test'
import '../observe/refusals.test'
import '../observe/stats.test'
import '../observe/topic-stats.test'
