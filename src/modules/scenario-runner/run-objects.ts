import { Injectable } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { asGateReceipt, type GateReceipt } from '../../rails/gate.js';
import { type ObjectKey, type Ref } from '../../rails/ref.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import type { Evidence, Found, OutputEvidence } from './evidence.core.js';
import { wantedOutputs } from './evidence.core.js';
import type { RunPlan } from './scenario-runner.port.js';
import {
  type OutputIndex,
  OutputIndexSchema,
  type SealedOutput,
  sealKey,
  type WorldSeal,
  WorldSealSchema,
} from './sealed-world.js';

const JSON_TYPE = 'application/json';
/** Parts whose refs are looked up at the same time. */
const LOOKUPS = 16;

const seals = validatorOf(WorldSealSchema, 'the seal');
const indexes = validatorOf(OutputIndexSchema, 'the index');
const receipts: Pick<Validator<GateReceipt>, 'demand'> = { demand: asGateReceipt };

/** A document that was put, or that stood there already with these or with other bytes. */
export interface PutDocument {
  readonly outcome: 'NEW' | 'DUPLICATE' | 'CONFLICT';
  /** Of what stands now. */
  readonly ref: Ref;
}

/** The documents of runs, and the sealed worlds that they are judged by, each read with its digest checked (law R4). */
@Injectable()
export class RunObjects {
  constructor(private readonly objects: Objects) {}

  /** Canonical JSON, so that the same document is the same bytes. */
  async put(key: ObjectKey, document: unknown): Promise<PutDocument> {
    const { outcome, ref } = await this.objects.putIfAbsent(key, Buffer.from(canonicalJson(document)), {
      mediaType: JSON_TYPE,
    });
    return { outcome, ref };
  }

  async head(key: ObjectKey): Promise<Ref | null> {
    return await this.objects.head(key);
  }

  /** @throws OBJECTS_NOT_FOUND, OBJECTS_DIGEST_MISMATCH; VALUE_INVALID for another document than was expected */
  async read<Value>(ref: Ref, validator: Pick<Validator<Value>, 'demand'>): Promise<Value> {
    return validator.demand(JSON.parse((await this.objects.read(ref)).toString('utf8')));
  }

  async standing<Value>(key: ObjectKey, validator: Pick<Validator<Value>, 'demand'>): Promise<Value | null> {
    const ref = await this.objects.head(key);
    return ref === null ? null : await this.read(ref, validator);
  }

  /** Where the seal of the plan's world stands; null while there is none. */
  async sealRef(plan: RunPlan): Promise<Ref | null> {
    return await this.objects.head(sealKey(plan.pins));
  }

  /** All that the verdict is made of, read anew: nothing is taken from an earlier look. */
  async evidence(plan: RunPlan, sealSeen: readonly string[]): Promise<Evidence> {
    const head = await this.#look(sealKey(plan.pins));
    if (head.found !== 'YES') return { seal: head, sealRef: null, sealSeen, outputs: [] };
    const sealRef = head.value;
    const seal = await this.#find<WorldSeal>(sealRef, seals);
    const wanted = seal.found === 'YES' ? wantedOutputs(plan, seal.value) : [];
    const outputs: OutputEvidence[] = [];
    // One after the other: a world has few outputs, and each looks up its parts many at a time.
    for (const sealed of wanted) outputs.push(await this.#output(sealed));
    return { seal, sealRef, sealSeen, outputs };
  }

  async #output(sealed: SealedOutput): Promise<OutputEvidence> {
    const [index, receipt] = await Promise.all([
      this.#find<OutputIndex>(sealed.index, indexes),
      this.#find<GateReceipt>(sealed.receipt, receipts),
    ]);
    const parts = index.found === 'YES' ? index.value.parts.map(({ ref }) => ref) : [];
    const partsMissing: string[] = [];
    const partsOther: string[] = [];
    for (let from = 0; from < parts.length; from += LOOKUPS) {
      const some = parts.slice(from, from + LOOKUPS);
      const heads = await Promise.all(some.map(({ locator }) => this.#look(locator)));
      for (const [place, ref] of some.entries()) {
        const head = heads[place];
        if (head?.found !== 'YES') (head?.found === 'OTHER' ? partsOther : partsMissing).push(ref.locator);
        // The bytes themselves are hashed by whoever reads a row of them, which is before any row is used.
        else if (head.value.digest.hex !== ref.digest.hex || head.value.size !== ref.size) partsOther.push(ref.locator);
      }
    }
    return { sealed, index, receipt, partsMissing, partsOther };
  }

  async #find<Value>(ref: Ref, validator: Pick<Validator<Value>, 'demand'>): Promise<Found<Value>> {
    return await found(() => this.read(ref, validator));
  }

  async #look(key: ObjectKey): Promise<Found<Ref>> {
    return await found(() => this.objects.head(key));
  }
}

/** A store that does not answer is no evidence: its errors are thrown on. */
async function found<Value>(read: () => Promise<Value | null>): Promise<Found<Value>> {
  try {
    const value = await read();
    return value === null ? { found: 'NO' } : { found: 'YES', value };
  } catch (error) {
    if (isProbityError(error, 'OBJECTS_NOT_FOUND')) return { found: 'NO' };
    if (isProbityError(error, 'OBJECTS_DIGEST_MISMATCH'))
      return { found: 'OTHER', why: 'its bytes are not those that its digest names' };
    if (isProbityError(error, 'VALUE_INVALID')) return { found: 'OTHER', why: error.detail };
    if (error instanceof SyntaxError) return { found: 'OTHER', why: 'it is not JSON' };
    throw error;
  }
}
