import { describe, expect, it } from '@jest/globals';
import type { Health } from '../substrate/health.js';
import { Readiness } from './readiness.js';

const well = (): Promise<Health> => Promise.resolve({ ok: true, detail: 'answers', tookMs: 1 });

describe('readiness', () => {
  it('holds from the end of the start to the beginning of the stop', async () => {
    const readiness = new Readiness('1', [], [{ name: 'database', check: well }]);
    expect((await readiness.report()).ready).toBe(false);
    readiness.becomeServing();
    expect((await readiness.report()).ready).toBe(true);
    readiness.becomeStopping();
    expect((await readiness.report()).ready).toBe(false);
    readiness.becomeServing();
    expect((await readiness.report()).ready).toBe(false);
  });

  it('needs every dependency, and says which one is missing and why', async () => {
    const readiness = new Readiness(
      '1',
      ['ig'],
      [
        { name: 'database', check: well },
        { name: 'bus', check: () => Promise.reject(new Error('no broker answers')) },
      ],
    );
    readiness.becomeServing();
    const { ready, roles, dependencies } = await readiness.report();
    expect([ready, roles]).toEqual([false, ['ig']]);
    expect(dependencies.filter(({ health }) => !health.ok)).toEqual([
      { name: 'bus', health: { ok: false, detail: 'no broker answers', tookMs: 0 } },
    ]);
  });

  it('does not wait for a dependency that hangs', async () => {
    const readiness = new Readiness('1', [], [{ name: 'objects', check: () => new Promise(() => undefined) }]);
    readiness.becomeServing();
    const { ready, dependencies } = await readiness.report();
    expect(ready).toBe(false);
    expect(dependencies[1]?.health.detail).toMatch(/no answer within \d+ ms/);
  });
});
