import type { AssertResult } from './assertion.schema.js';

/** So many refusals of a batch are kept by name; all are counted. */
export const REFUSALS_KEPT = 20;
const RUN_ID = /^[0-9a-f]{32}$/;
const NAMESPACE = /^[a-z][a-z0-9._-]{0,63}$/;
const HANDLE = /^[!-~]([ -~]{0,198}[!-~])?$/;

/** Of one run and namespace, what was submitted at once and what came of it. */
export interface Submission {
  readonly runId: string;
  readonly namespace: string;
  readonly submitted: number;
  readonly duplicate: number;
  readonly rejected: number;
  /** Their numbers in the ledger. */
  readonly accepted: readonly number[];
  readonly refusals: readonly Refused[];
}

export interface Refused {
  /** As the writer named it; where it had none that can be kept, its place in the batch from 1. */
  readonly handle: string;
  readonly code: string;
}

/**
 * A batch as it came in, beside what it was answered: the one is counted where labels enter, the other where they have been dealt with. What names no run
 * and no namespace is of no run, and is told in the answer alone.
 */
export function submissionsOf(raw: readonly unknown[], results: readonly AssertResult[]): readonly Submission[] {
  const groups = new Map<string, { runId: string; namespace: string; places: number[] }>();
  raw.forEach((each, place) => {
    const [runId, namespace] = [textOf(each, 'run_id', RUN_ID), textOf(each, 'namespace', NAMESPACE)];
    if (runId === undefined || namespace === undefined) return;
    const key = `${runId} ${namespace}`;
    const group = groups.get(key) ?? { runId, namespace, places: [] };
    groups.set(key, group);
    group.places.push(place);
  });
  return [...groups.values()].map(({ runId, namespace, places }) => {
    const of = (outcome: AssertResult['outcome']) => places.filter((place) => results[place]?.outcome === outcome);
    const rejected = of('REJECTED');
    return {
      ...{ runId, namespace, submitted: places.length, duplicate: of('DUPLICATE').length, rejected: rejected.length },
      accepted: of('ACCEPTED').flatMap((place) => results[place]?.ledger_seq ?? []),
      refusals: rejected.slice(0, REFUSALS_KEPT).map((place) => ({
        handle: textOf(raw[place], 'handle', HANDLE) ?? `#${place + 1}`,
        code: results[place]?.code ?? '',
      })),
    };
  });
}

function textOf(value: unknown, name: string, pattern: RegExp): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const found: unknown = Reflect.get(value, name);
  return typeof found === 'string' && pattern.test(found) ? found : undefined;
}
