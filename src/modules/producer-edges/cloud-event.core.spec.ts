import { describe, expect, it } from '@jest/globals';
import { type RunPins } from '../../rails/pins.js';
import { cloudEventIdOf, cloudEventOfHeaders, eventOfCloudEvent } from './cloud-event.core.js';
import { type Made, type Stamp } from './transaction.core.js';

const STAMP: Stamp = {
  producer: 'shop',
  pins: { manifest_fingerprint: 'a'.repeat(64), run_id: 'c'.repeat(32) } as RunPins,
};
const EVENT = {
  specversion: '1.0',
  id: 'A-1',
  source: 'https://shop.example/checkout',
  type: 'com.probity.transaction.v1',
  time: '2026-03-01T12:00:00Z',
  datacontenttype: 'application/json; charset=utf-8',
  data: { transaction_id: 't-1', amount_minor: 5, currency: 'EUR', account_id: 'a' },
};

function envelopeOf(made: Made): Record<string, unknown> {
  if (!made.ok) throw new Error(`${made.fault.at} ${made.fault.says}`);
  return JSON.parse(made.text) as Record<string, unknown>;
}

describe('a CloudEvent', () => {
  it('is the transaction in its data, under the id of source and id', () => {
    const envelope = envelopeOf(eventOfCloudEvent(EVENT, STAMP, undefined));
    expect(envelope).toMatchObject({
      event_id: cloudEventIdOf('shop', EVENT.source, EVENT.id),
      event_type: 'transaction',
      ts_utc: '2026-03-01T12:00:00.000000Z',
      payload: EVENT.data,
    });
    expect(envelope).not.toHaveProperty('trace_id');
  });

  it('is another event under another source or id, and the same one under another time', () => {
    const idOf = (change: object): unknown =>
      envelopeOf(eventOfCloudEvent({ ...EVENT, ...change }, STAMP, undefined))['event_id'];
    expect(idOf({ time: '2026-03-01T12:00:01Z' })).toBe(idOf({}));
    expect(new Set([idOf({}), idOf({ id: 'A-2' }), idOf({ source: '/other' })]).size).toBe(3);
  });

  it('happened when its data says, and otherwise at its time', () => {
    const data = { ...EVENT.data, occurred_at: '2026-02-28T23:00:00-01:00' };
    expect(envelopeOf(eventOfCloudEvent({ ...EVENT, data }, STAMP, undefined))['ts_utc']).toBe(
      '2026-03-01T00:00:00.000000Z',
    );
  });

  it('brings its own trace, before that of the request', () => {
    const request = { trace_id: '1'.repeat(32), span_id: '2'.repeat(16) };
    const traced = (traceparent: unknown): unknown =>
      envelopeOf(eventOfCloudEvent({ ...EVENT, traceparent }, STAMP, request));
    expect(traced(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`)).toMatchObject({
      trace_id: 'a'.repeat(32),
      span_id: 'b'.repeat(16),
    });
    for (const broken of ['nonsense', `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`, true])
      expect(traced(broken)).toMatchObject(request);
  });

  it('may have extensions and attributes that say nothing', () => {
    const made = eventOfCloudEvent(
      { ...EVENT, subject: null, partitionkey: 'x', sequence: 3, sampled: true },
      STAMP,
      undefined,
    );
    expect(made.ok).toBe(true);
  });

  it.each<readonly [string, object, string, string]>([
    ['another version', { specversion: '0.3' }, '/specversion', 'EDGE_CLOUDEVENT_INVALID'],
    ['no id', { id: undefined }, '', 'EDGE_CLOUDEVENT_INVALID'],
    ['an empty id', { id: '' }, '/id', 'EDGE_CLOUDEVENT_INVALID'],
    ['an id of half a character', { id: 'a\ud800' }, '/id', 'EDGE_CLOUDEVENT_INVALID'],
    ['a source that is no URI', { source: 'a b' }, '/source', 'EDGE_CLOUDEVENT_INVALID'],
    ['an unknown type', { type: 'com.example.other' }, '/type', 'EDGE_CLOUDEVENT_INVALID'],
    ['a name in capitals', { partitionKey: 'x' }, '', 'EDGE_CLOUDEVENT_INVALID'],
    ['an extension that is an object', { partitionkey: {} }, '/partitionkey', 'EDGE_CLOUDEVENT_INVALID'],
    ['data in XML', { datacontenttype: 'text/xml' }, '/datacontenttype', 'EDGE_CLOUDEVENT_INVALID'],
    ['data as bytes', { data_base64: 'e30=' }, '/data_base64', 'EDGE_CLOUDEVENT_INVALID'],
    ['no data', { data: undefined }, '', 'EDGE_CLOUDEVENT_INVALID'],
    ['data that is a text', { data: '{}' }, '/data', 'EDGE_MAPPING_FAILED'],
    ['data that is null', { data: null }, '/data', 'EDGE_MAPPING_FAILED'],
    ['a time that is none', { time: 'yesterday' }, '/time', 'EDGE_MAPPING_FAILED'],
    ['no time at all', { time: null }, '/data/occurred_at', 'EDGE_MAPPING_FAILED'],
    ['data without an id', { data: { amount_minor: 1 } }, '/data/transaction_id', 'EDGE_MAPPING_FAILED'],
  ])('%s is refused by its place', (_name, change, at, code) => {
    const event = JSON.parse(JSON.stringify({ ...EVENT, ...change })) as object;
    expect(
      eventOfCloudEvent('id' in change && change.id === 'a\ud800' ? { ...EVENT, ...change } : event, STAMP, undefined),
    ).toMatchObject({
      ok: false,
      fault: { at, code },
    });
  });

  it('is the same in binary mode', () => {
    const { data, datacontenttype, ...attributes } = EVENT;
    const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]));
    const assembled = cloudEventOfHeaders({ ...headers, 'content-type': datacontenttype, host: 'x' }, data);
    expect(assembled).toEqual(EVENT);
    expect(cloudEventOfHeaders({ 'ce-id': 'caf%C3%A9', 'ce-x': '100%' }, null)).toEqual({
      id: 'café',
      x: '100%',
      data: null,
    });
  });
});
