import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  context as globalContext,
  metrics,
  propagation,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { openTelemetry, type OpenTelemetry, type TelemetryOptions } from '../../src/app/telemetry.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { GoldenSignals } from '../../src/substrate/telemetry/golden-signals.js';
import { openCollector } from '../support/collector.js';
import { eventually } from '../support/eventually.js';
import { type LogLine, recordedTelemetry } from '../support/telemetry.js';

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

describe('logger', () => {
  it('writes one line of JSON with level, time, component, version and environment', () => {
    const clock = new ManualClock(Date.parse('2026-03-01T12:00:00.250Z'));
    const { telemetry, lines, text } = recordedTelemetry('ledger', { clock });
    telemetry.logger.info('deposit_applied', { run_id: 'run-1', deposits: 2, text: 'two\nlines' });
    expect(lines()).toEqual([
      {
        level: 'info',
        time: '2026-03-01T12:00:00.250Z',
        event: 'deposit_applied',
        component_name: 'ledger',
        component_version: '1.2.3',
        env: 'test',
        run_id: 'run-1',
        deposits: 2,
        text: 'two\nlines',
      },
    ]);
    expect(text().match(/\n/g)).toHaveLength(1);
  });

  it('carries kept fields, the component and the trace of a context', () => {
    const { telemetry, lines } = recordedTelemetry('probity');
    const context = telemetry.extract({ traceparent: TRACEPARENT });
    telemetry.forComponent('teller').logger.with({ run_id: 'r', trace: context }).with({ seed: '7' }).warn('late');
    telemetry.logger.warn('late', { trace: context });
    telemetry.logger.warn('late', { trace: ROOT_CONTEXT });
    expect(lines()).toMatchObject([
      { component_name: 'teller', run_id: 'r', seed: '7', trace_id: TRACE_ID, span_id: 'b7ad6b7169203331' },
      { component_name: 'probity', trace_id: TRACE_ID },
      { component_name: 'probity' },
    ]);
    expect(lines()[2]).not.toHaveProperty('trace_id');
    expect(lines()[2]).not.toHaveProperty('trace');
  });

  it('does not let a field stand in for what is the logger’s own', () => {
    const { telemetry, text, lines } = recordedTelemetry('ledger');
    const forged = {
      level: 'debug',
      time: 'x',
      event: 'y',
      component_name: 'ig',
      env: 'prod',
      trace_id: 'z',
      component_version: '9',
    };
    telemetry.logger.error('real', forged);
    telemetry.logger.with(forged).error('real');
    for (const name of Object.keys(forged)) {
      expect(text().match(new RegExp(`"${name}":`, 'g'))?.length ?? 0).toBe(name === 'trace_id' ? 0 : 2);
    }
    expect(lines()).toMatchObject(
      [1, 2].map(() => ({ level: 'error', event: 'real', component_name: 'ledger', env: 'test', field_env: 'prod' })),
    );
  });

  it('keeps quiet below its level', () => {
    const { telemetry, lines } = recordedTelemetry('ledger', { level: 'warn' });
    telemetry.logger.debug('a');
    telemetry.logger.info('b');
    telemetry.logger.warn('c');
    telemetry.logger.error('d');
    expect(lines().map(({ event }) => event)).toEqual(['c', 'd']);
  });

  it('never fails the work: not by what it is given, nor by where it writes', () => {
    const written: LogLine[] = [];
    const { telemetry, shutdown } = open({
      destination: {
        write: (line) => {
          written.push(JSON.parse(line) as LogLine);
          throw new Error('EPIPE');
        },
      },
    });
    const hostile = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no');
        },
      },
    );
    telemetry.logger.error('hostile', hostile);
    telemetry.logger.with(hostile).error('hostile');
    telemetry.logger.error('no context', { trace: 'mine' as never });
    expect(written).toHaveLength(3);
    return shutdown();
  });
});

describe('trace context', () => {
  const { telemetry, spans } = recordedTelemetry('ledger');

  it('goes into headers and comes out again', async () => {
    const incoming = telemetry.extract({ traceparent: TRACEPARENT, tracestate: 'vendor=1' });
    const headers: Record<string, string> = {};
    await telemetry.span('work', { parent: incoming }, (context) => {
      telemetry.inject(context, headers);
      return Promise.resolve();
    });
    expect(headers['traceparent']).toMatch(new RegExp(`^00-${TRACE_ID}-[0-9a-f]{16}-01$`));
    expect(headers['traceparent']).not.toBe(TRACEPARENT);
    expect(headers['tracestate']).toBe('vendor=1');
    const span = spans().find(({ name }) => name === 'work');
    expect(span?.parentSpanContext?.spanId).toBe('b7ad6b7169203331');
    expect(span?.attributes['component_name']).toBe('ledger');
  });

  it.each([
    undefined,
    '',
    'garbage',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331',
    `${TRACEPARENT}-what`,
    `${TRACEPARENT},${TRACEPARENT}`,
    'x'.repeat(100_000),
  ])('begins a trace of its own for header %#', async (traceparent) => {
    const incoming = telemetry.extract({ traceparent, tracestate: '=,;' });
    expect(trace.getSpanContext(incoming)).toBeUndefined();
    const headers: Record<string, string> = {};
    await telemetry.span('own', { parent: incoming }, (context) => {
      telemetry.inject(context, headers);
      return Promise.resolve();
    });
    expect(headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(headers['traceparent']).not.toContain(TRACE_ID);
  });

  it('ends a span with the outcome of its work, without secrets', async () => {
    const error = new ProbityError('DATABASE_TIMEOUT', 'no answer from postgres://u:hunter2@h/d');
    await expect(telemetry.span('fails', {}, () => Promise.reject(error))).rejects.toBe(error);
    const span = spans().find(({ name }) => name === 'fails');
    expect(span).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'DATABASE_TIMEOUT' },
    });
    expect(span?.status.message).toContain('u:[redacted]@h');
    expect(span?.ended).toBe(true);
  });

  it('carries the trace on, whatever share of traces is recorded', async () => {
    const { telemetry: unsampled, shutdown } = open({ samplingRatio: 0 });
    const headers: Record<string, string> = {};
    await unsampled.span('own', {}, (context) => {
      unsampled.inject(context, headers);
      return Promise.resolve();
    });
    expect(headers['traceparent']).toMatch(/-00$/);
    await unsampled.span('theirs', { parent: unsampled.extract({ traceparent: TRACEPARENT }) }, (context) => {
      unsampled.inject(context, headers);
      return Promise.resolve();
    });
    expect(headers['traceparent']).toMatch(new RegExp(`^00-${TRACE_ID}-.*-01$`));
    await shutdown();
  });
});

describe('metrics', () => {
  it('shows the golden signals in Prometheus text format', async () => {
    const clock = new ManualClock();
    const { telemetry, metricsText } = recordedTelemetry('ledger', { clock });
    const signals = new GoldenSignals({ meter: telemetry.meter, clock, name: 'ig.admission', of: 'submitted batches' });
    const finish = signals.start({ topic: 't' });
    signals.start({ topic: 't' });
    await clock.advance(7);
    finish();
    finish();
    await expect(
      signals.observe({ topic: 't' }, () => Promise.reject(new ProbityError('BUS_UNAVAILABLE', 'x'))),
    ).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
    await expect(signals.observe({ topic: 't' }, () => Promise.reject(new Error('id 4711')))).rejects.toThrow('4711');

    const text = await metricsText();
    const labels = 'component_name="ledger",topic="t"';
    expect(text).toContain(`ig_admission_calls_total{${labels}} 3\n`);
    expect(text).toContain(`ig_admission_errors_total{${labels},error_type="BUS_UNAVAILABLE"} 1\n`);
    expect(text).toContain(`ig_admission_errors_total{${labels},error_type="INTERNAL"} 1\n`);
    expect(text).toContain(`ig_admission_active{${labels}} 1\n`);
    expect(text).toContain(`ig_admission_duration_seconds_bucket{${labels},le="0.005"} 2\n`);
    expect(text).toContain(`ig_admission_duration_seconds_bucket{${labels},le="0.01"} 3\n`);
    expect(text).toContain('# HELP ig_admission_calls_total submitted batches that ended, well or not\n');
    expect(text).not.toContain('4711');
  });

  it('writes each metric once, whichever components have it', async () => {
    const { telemetry, metricsText } = recordedTelemetry('probity');
    for (const name of ['ledger', 'teller']) {
      telemetry.forComponent(name).meter.createCounter('records', { description: 'Records' }).add(name.length);
    }
    // Of another type under the same name: the first stands, for a document with both could not be read at all.
    telemetry.forComponent('third').meter.createGauge('records.total').record(1);
    const text = await metricsText();
    expect(text.match(/# TYPE records_total counter/g)).toHaveLength(1);
    expect(text).toContain('records_total{component_name="ledger"} 6');
    expect(text).toContain('records_total{component_name="teller"} 6');
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('does not share values between two applications in one process', async () => {
    const [one, two] = [open({ component: 'one' }), open({ component: 'two' })];
    one.telemetry.meter.createCounter('records').add(3);
    two.telemetry.meter.createCounter('records').add(4);
    expect(await one.metricsText()).toContain('records_total{component_name="one"} 3');
    expect(await one.metricsText()).not.toContain('"two"');
    expect(await two.metricsText()).toContain('records_total{component_name="two"} 4');
    await one.shutdown();
    expect(await two.metricsText()).toContain('records_total{component_name="two"} 4');
    await two.shutdown();
  });

  it('registers nothing globally', async () => {
    const { telemetry, shutdown } = open({});
    await telemetry.span('x', {}, () => Promise.resolve());
    expect(trace.getTracerProvider().getTracer('x').startSpan('y').isRecording()).toBe(false);
    expect(metrics.getMeterProvider().constructor.name).toBe('NoopMeterProvider');
    const carrier: Record<string, string> = {};
    propagation.inject(telemetry.extract({ traceparent: TRACEPARENT }), carrier);
    expect(carrier).toEqual({});
    expect(globalContext.active()).toBe(ROOT_CONTEXT);
    await shutdown();
  });
});

describe('export', () => {
  it('sends spans and metrics to the collector, with its headers', async () => {
    const collector = await openCollector();
    const { telemetry, shutdown } = open({
      otlpEndpoint: `${collector.endpoint}/`,
      otlpHeaders: { 'x-scope': 'team' },
    });
    telemetry.meter.createCounter('records').add(1);
    await telemetry.span('exported', {}, () => Promise.resolve());
    await shutdown();
    const paths = new Map(collector.received.map((request) => [request.path, request]));
    expect(paths.get('/v1/traces')?.body).toContain('"exported"');
    expect(paths.get('/v1/traces')?.body).toContain('service.name');
    expect(paths.get('/v1/metrics')?.body).toContain('"records"');
    expect(paths.get('/v1/metrics')?.headers['x-scope']).toBe('team');
    await collector.close();
  });

  it('exports while it runs, not only at the end', async () => {
    const collector = await openCollector();
    const { telemetry, shutdown } = open({ otlpEndpoint: collector.endpoint });
    await telemetry.span('early', {}, () => Promise.resolve());
    await eventually(() => collector.received.some(({ body }) => body.includes('"early"')));
    await shutdown();
    await collector.close();
  });

  it.each([
    ['is not there', () => Promise.resolve({ endpoint: 'http://127.0.0.1:9', close: () => Promise.resolve() })],
    ['takes everything and never answers', () => openCollector(() => undefined)],
    ['answers a byte a time and never ends', () => openCollector(drip)],
    ['refuses everything', () => openCollector((response) => response.writeHead(503).end())],
  ])('costs the work no time and the stop a bounded one when the collector %s', async (_, start) => {
    const collector = await start();
    const { telemetry, shutdown, metricsText } = open({ otlpEndpoint: collector.endpoint });
    telemetry.meter.createCounter('records').add(1);
    // Twice what the queue holds: what does not fit is dropped. Ending a span is synchronous, so nobody could wait.
    for (let n = 0; n < 4_096; n++) telemetry.tracer.startSpan(`span ${n}`).end();
    expect(await metricsText()).toContain('records_total');
    const stoppedMs = performance.now();
    await shutdown();
    // Bounded at 2 s by itself; without that bound the exports of a full queue, 4 × 1.5 s, would be waited for.
    expect(performance.now() - stoppedMs).toBeLessThan(5_000);
    await collector.close();
  });

  it('can be shut down twice', async () => {
    const { shutdown } = open({});
    await shutdown();
    await expect(shutdown()).resolves.toBeUndefined();
  });
});

const opened: OpenTelemetry[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ shutdown }) => shutdown()));
});

function open(options: Partial<TelemetryOptions>): OpenTelemetry {
  const telemetry = openTelemetry({
    component: 'probity',
    version: '1.2.3',
    env: 'test',
    clock: new SystemClock(),
    logLevel: 'info',
    destination: { write: () => undefined },
    ...options,
  });
  opened.push(telemetry);
  return telemetry;
}

function drip(response: ServerResponse): void {
  response.writeHead(200);
  const timer = setInterval(() => response.write(' '), 50);
  response.on('close', () => clearInterval(timer));
}
