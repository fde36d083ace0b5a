// The texts of the start page, with the host the page itself came from. The ports are the defaults of the doors.

export interface SnippetText {
  id: string;
  title: string;
  say: string;
  text: string;
}

const GRPC_PORT = 4317;
const HTTP_PORT = 4318;

export function snippets(hostname: string): SnippetText[] {
  // An IPv6 address comes with its brackets from `location.hostname`.
  const host = hostname || 'localhost';
  return [
    {
      id: 'grpc',
      title: 'SDK, gRPC',
      say: 'Set these for a program that carries an OpenTelemetry SDK or agent, then start it.',
      text: [
        `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${host}:${GRPC_PORT}`,
        'export OTEL_EXPORTER_OTLP_PROTOCOL=grpc',
        'export OTEL_SERVICE_NAME=my-service',
      ].join('\n'),
    },
    {
      id: 'http',
      title: 'SDK, HTTP',
      say: 'The same over HTTP, for networks that do not let gRPC through.',
      text: [
        `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${host}:${HTTP_PORT}`,
        'export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf',
        'export OTEL_SERVICE_NAME=my-service',
      ].join('\n'),
    },
    {
      id: 'java',
      title: 'Java agent',
      say: 'No change to the program: the OpenTelemetry agent instruments it.',
      text: [
        `java -javaagent:opentelemetry-javaagent.jar \\`,
        `  -Dotel.service.name=my-service \\`,
        `  -Dotel.exporter.otlp.endpoint=http://${host}:${HTTP_PORT} \\`,
        '  -jar my-service.jar',
      ].join('\n'),
    },
    {
      id: 'collector',
      title: 'Collector',
      say: 'Add this exporter to a Collector that already receives your data, and name it in the pipelines.',
      text: [
        'exporters:',
        '  otlp/tracelake:',
        `    endpoint: ${host}:${GRPC_PORT}`,
        '    tls:',
        '      insecure: true',
        'service:',
        '  pipelines:',
        '    traces:',
        '      exporters: [otlp/tracelake]',
        '    logs:',
        '      exporters: [otlp/tracelake]',
        '    metrics:',
        '      exporters: [otlp/tracelake]',
      ].join('\n'),
    },
    {
      id: 'curl',
      title: 'curl',
      say: 'One span by hand, to see that the way is open.',
      text: [
        `now=$(date +%s)000000000`,
        `curl -sS http://${host}:${HTTP_PORT}/v1/traces -H 'content-type: application/json' -d '{"resourceSpans":[{`,
        `  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"by-hand"}}]},`,
        `  "scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7",`,
        `    "name":"hello","kind":2,"startTimeUnixNano":"'$now'","endTimeUnixNano":"'$now'"}]}]}]}'`,
      ].join('\n'),
    },
  ];
}
