import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { JsonValue } from '../rails/canonical-json.js';
import { boundsBelow } from './retention-bound.js';
import type { Wiring } from './wiring.schema.js';

const shipped = (file: string): unknown => parse(readFileSync(`profiles/${file}`, 'utf8'));

const policy = (keep_ms: number | null) => ({ topics: [{ topic: 'a.v1', keep_ms }] });

describe('what the bus deletes by itself', () => {
  it.each([
    [null, 1_000, false],
    [2_000, 1_000, false],
    [1_000, 1_000, true],
    [500, 1_000, true],
    [1_000, null, true],
    [null, null, false],
  ])('a topic that ends after %s ms and is kept for %s: too early %s', (retention_ms, keep_ms, low) => {
    const topics = { default: { partitions: 1, retention_ms } };
    expect(boundsBelow(topics, policy(keep_ms))).toEqual(low ? [{ topic: 'a.v1', retention_ms, keep_ms }] : []);
    const named = { default: { partitions: 1, retention_ms: null }, named: { 'a.v1': topics.default } };
    expect(boundsBelow(named, policy(keep_ms))).toHaveLength(low ? 1 : 0);
  });

  it('a program without the policy has nothing to compare, and no shipped profile ends too early', () => {
    expect(boundsBelow({ default: { partitions: 1, retention_ms: 1 } }, undefined)).toEqual([]);
    for (const name of ['local', 'dev', 'prod']) {
      const { topics } = shipped(`${name}/wiring.yaml`) as Pick<Wiring, 'topics'>;
      const { body } = shipped(`${name}/policy/ops.retention.yaml`) as { body: JsonValue };
      expect(boundsBelow(topics, body)).toEqual([]);
    }
  });
});
