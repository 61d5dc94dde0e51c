import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Principal } from '../identity/identity.port.js';
import { systemActor } from '../../rails/actor.js';
import type { Clock } from '../clock/clock.port.js';
import type { CallContext } from './rpc.port.js';

/** Of work that nobody asked for over a port: a job, a consumer, a schedule. The binding puts the unit's own principal in its place. */
const NOBODY: Principal = { actor: systemActor('job'), keyId: 'none', roles: [] };

/** The context of a call that a unit makes on its own account. */
export function outgoing(
  clock: Clock,
  limitMs: number,
  { signal, trace = ROOT_CONTEXT }: { readonly signal?: AbortSignal; readonly trace?: Context } = {},
): CallContext {
  return {
    caller: NOBODY,
    deadlineAtMs: clock.monotonicMs() + limitMs,
    signal: signal ?? new AbortController().signal,
    trace,
  };
}
