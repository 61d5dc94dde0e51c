import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { PrometheusMetricsSource } from '../../src/substrate/telemetry/prometheus.metrics-source.js';
import { ScrapingMetricsSource } from '../../src/substrate/telemetry/scraping.metrics-source.js';

/** What a process or a Prometheus server would answer; a path of its own for each. */
describe('sources of metrics', () => {
  let server: Server;
  let base = '';

  beforeAll(async () => {
    server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost');
      if (pathname === '/slow/metrics' || pathname === '/hanging/api/v1/query') return;
      if (pathname === '/metrics') response.end('df_lag{partition="0"} 7\n');
      else if (pathname === '/api/v1/query')
        response.end(
          JSON.stringify({
            status: 'success',
            data: {
              resultType: 'vector',
              result: [
                { metric: { __name__: 'df_lag', instance: 'df:8080', partition: '0' }, value: [1_435_781_451.8, '7'] },
              ],
            },
          }),
        );
      else response.writeHead(404).end('<html>');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const scraping = (urls: readonly string[], own = () => Promise.resolve('up 1\n')) =>
    new ScrapingMetricsSource({
      clock: new SystemClock(),
      own,
      ownName: 'here',
      others: () => urls.map((url, at) => ({ process: `other-${at}`, url })),
      timeoutMs: 200,
    });

  it('a process reads its own and those of the others, and knows whose each is', async () => {
    const { samples, faults } = await scraping([base]).read();
    expect(samples).toEqual([
      { name: 'up', labels: {}, value: 1, process: 'here' },
      { name: 'df_lag', labels: { partition: '0' }, value: 7, process: 'other-0' },
    ]);
    expect(faults).toEqual([]);
  });

  it('one that is gone, silent, or answers something else is named, and the others are read all the same', async () => {
    const gone = 'http://127.0.0.1:9';
    const silent = scraping([base, gone], () => Promise.reject(new Error('not yet')));
    const { samples, faults } = await silent.read();
    expect(samples.map(({ process }) => process)).toEqual(['other-0']);
    expect(faults.map(({ process }) => process)).toEqual(['here', 'other-1']);
    const html = await scraping([], () => Promise.resolve('<html>')).read();
    expect(html.faults).toEqual([{ process: 'here', detail: 'line 1 is no sample' }]);
  });

  it('a Prometheus server is asked for the newest values', async () => {
    const clock = new SystemClock();
    const { samples, faults } = await new PrometheusMetricsSource({
      clock,
      url: base,
      selector: '{__name__=~"df_.*"}',
    }).read();
    expect(samples).toEqual([{ name: 'df_lag', labels: { partition: '0' }, value: 7, process: 'df:8080' }]);
    expect(faults).toEqual([]);
    const none = await new PrometheusMetricsSource({ clock, url: 'http://127.0.0.1:9', selector: 'up' }).read();
    expect([none.samples, none.faults.length]).toEqual([[], 1]);
  });
});
