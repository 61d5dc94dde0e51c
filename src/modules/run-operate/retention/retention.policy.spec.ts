import { describe, expect, it } from '@jest/globals';
import type { ArchivePolicy } from '../archive/archive.policy.js';
import { RETENTION_POLICY, type RetentionPolicy } from './retention.policy.js';

const topic = (change: Partial<RetentionPolicy['topics'][number]> = {}) => ({
  ...{ topic: 'a.v1', keep_ms: 60_000, unarchived: 'kept' },
  ...change,
});
const faults = (topics: readonly object[], archive: object = { topics: ['a.v1'], chunk_age_ms: 30_000 }) => {
  const body = { topics, roles_not_run: [] } as unknown as RetentionPolicy;
  return [
    ...(RETENTION_POLICY.check?.(body as never) ?? []),
    ...(RETENTION_POLICY.checkAmong?.(body as never, () => archive as ArchivePolicy) ?? []),
  ].map(({ pointer }) => pointer);
};

describe('the policy of retention', () => {
  it('leaves the archive time for twice a chunk, and no less', () => {
    expect(faults([topic()])).toEqual([]);
    expect(faults([topic({ keep_ms: 59_999 })])).toEqual(['/topics/0/keep_ms']);
    expect(faults([topic({ keep_ms: null })])).toEqual([]);
  });

  it('does not promise to take away what it never would', () => {
    const none = { topics: ['b.v1'], chunk_age_ms: 30_000 };
    expect(faults([topic()], none)).toEqual(['/topics/0/unarchived']);
    expect(faults([topic({ unarchived: 'allowed', keep_ms: 1_000 })], none)).toEqual([]);
    expect(faults([topic({ keep_ms: null })], none)).toEqual([]);
  });

  it('says one thing of a topic', () => {
    expect(faults([topic(), topic()])).toEqual(['/topics/1/topic']);
  });
});
