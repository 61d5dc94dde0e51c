import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Label } from '../../rails/events/label.schema.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { type LabelTarget, LabelTargetSchema, targetKey } from '../../rails/labels/target.js';
import { objectKey, type Ref } from '../../rails/ref.js';
import { validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import {
  type AsOf,
  type AsOfRequest,
  type Slice,
  type SliceRequest,
  type SliceRow,
  SliceSchema,
} from './label-store.port.js';
import { type Cut, LedgerStore } from './ledger.store.js';
import type { Answer, Question } from './resolution.core.js';

const PAGE_LABELS = 5_000;
const PAGE_TARGETS = 1_000;
const LINE_CHARACTERS_MAX = 10_000;

/** A question that can be answered, now and ever again. */
export interface Asked {
  readonly question: Question;
  readonly cut: Cut;
  readonly basis: AsOf['basis'];
}

/** Who settles questions and answers them. */
export interface Answers {
  asked(request: Omit<Static<typeof AsOfRequest>, 'targets'>): Promise<Asked>;
  answer(labels: readonly Label[], question: Question): Answer;
}

type Page = readonly (readonly [LabelTarget, readonly Label[]])[];

const sliceIds = defineRecipe<
  { run_id: string; label_type: string; targets: string | null; basis: Asked['basis'] },
  'LabelSliceId'
>('labels.slice', 1, { run_id: true, label_type: true, targets: true, basis: true });

const slices = validatorOf(SliceSchema, 'the slice');
const targets = validatorOf(LabelTargetSchema, 'the target');

type Counts = Record<SliceRow['state'], number>;

/**
 * Answers about many targets as one object, in constant memory. Its id is the question and where the ledger stood, so that two who ask the same
 * get the same object, and one that was interrupted is made again to the same bytes.
 */
@Injectable()
export class LabelSlices {
  constructor(
    private readonly ledger: LedgerStore,
    private readonly objects: Objects,
  ) {}

  /** @throws as the port says */
  async make(request: Static<typeof SliceRequest>, service: Answers): Promise<Slice> {
    const asked = await service.asked(request);
    const { run_id, label_type } = request;
    const of = request.targets ?? null;
    const digest = of?.digest.hex ?? null;
    const slice_id = sliceIds.derive({ run_id, label_type, targets: digest, basis: asked.basis }) as string as Digest;
    const key = objectKey(`labels/slices/${slice_id}/slice.json`);
    const made = await this.objects.head(key);
    if (made !== null) return await this.#read(made);
    const counts: Counts = { LABEL: 0, UNKNOWN: 0, CONFLICT: 0 };
    const byValue = new Map<string, number>();
    const known = of === null ? this.#ofRun(request, asked) : this.#ofTargets(request, asked, of);
    const lines = (async function* () {
      for await (const page of known) {
        const rows = page.map(([target, labels]) => rowOf(target, service.answer(labels, asked.question)));
        for (const { state, label_value } of rows) {
          counts[state] += 1;
          if (label_value !== undefined) byValue.set(label_value, (byValue.get(label_value) ?? 0) + 1);
        }
        yield Buffer.from(rows.map((row) => `${canonicalJson(row as never)}\n`).join(''));
      }
    })();
    // What an interrupted attempt left under the key are the same bytes, and this one is read to its end all the same.
    const put = await this.objects.putIfAbsent(objectKey(`labels/slices/${slice_id}/rows.ndjson`), lines, {
      mediaType: 'application/x-ndjson',
    });
    if (put.outcome === 'CONFLICT')
      throw new ProbityError('INTERNAL', `the slice ${slice_id} came out otherwise than before`);
    const rows = put.ref;
    const slice: Slice = {
      ...{ slice_id, run_id, label_type, targets: of, rows: rows, counts },
      by_value: Object.fromEntries([...byValue].sort(([a], [b]) => (a < b ? -1 : 1))),
      basis: asked.basis,
    };
    const text = Buffer.from(canonicalJson(slice as never));
    const { ref } = await this.objects.putIfAbsent(key, text, { mediaType: 'application/json' });
    return await this.#read(ref);
  }

  async *#ofRun({ run_id, label_type }: Static<typeof SliceRequest>, { cut }: Asked): AsyncGenerator<Page, void> {
    for (let after = ''; ;) {
      const known = await this.ledger.knownAfter(run_id, label_type, { ...cut, after, limit: PAGE_LABELS });
      if (known.size === 0) return;
      yield [...known.values()].flatMap((labels) => {
        const [first] = labels;
        return first === undefined ? [] : [[first.target, labels] as const];
      });
      after = [...known.keys()].at(-1) ?? after;
    }
  }

  async *#ofTargets(
    { run_id, label_type }: Static<typeof SliceRequest>,
    { cut }: Asked,
    ref: Ref,
  ): AsyncGenerator<Page, void> {
    for await (const page of pagesOf(this.objects.open(ref))) {
      const known = await this.ledger.knownOf(run_id, label_type, page, cut);
      yield page.map((target) => [target, known.get(targetKey(target)) ?? []] as const);
    }
  }

  async #read(ref: Ref): Promise<Slice> {
    return slices.demand(JSON.parse((await this.objects.read(ref)).toString('utf8')));
  }
}

async function* pagesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<readonly LabelTarget[], void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let page: LabelTarget[] = [];
  let line = 0;
  const take = (text: string): void => {
    line += 1;
    if (text !== '') page.push(targetOf(text, line));
  };
  for await (const piece of bytes) {
    const texts = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = texts.pop() ?? '';
    if (rest.length > LINE_CHARACTERS_MAX)
      throw new ProbityError('LBL_TARGETS_INVALID', `line ${line + 1} is too long`);
    for (const text of texts) {
      take(text);
      if (page.length < PAGE_TARGETS) continue;
      yield page;
      page = [];
    }
  }
  take(rest + decoder.decode());
  if (page.length > 0) yield page;
}

function targetOf(text: string, line: number): LabelTarget {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProbityError('LBL_TARGETS_INVALID', `line ${line} is not JSON`);
  }
  const checked = targets.check(value);
  if (checked.ok) return checked.value;
  throw new ProbityError('LBL_TARGETS_INVALID', `line ${line}${checked.fault.at} ${checked.fault.says}`);
}

function rowOf(target: LabelTarget, answer: Answer): SliceRow {
  if (answer.state === 'UNKNOWN') return { target, state: 'UNKNOWN' };
  if (answer.state === 'CONFLICT')
    return { target, state: 'CONFLICT', candidates: answer.candidates.map(({ label_id }) => label_id) };
  const { label_value, label_id, effective_at_utc, observed_at_utc } = answer.label;
  return { target, state: 'LABEL', label_value, label_id, effective_at_utc, observed_at_utc };
}
