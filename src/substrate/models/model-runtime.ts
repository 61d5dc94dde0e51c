import { createRequire } from 'node:module';
import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type OnnxModel, onnxFile } from '../../rails/model/bundle.schema.js';
import type { Inputs } from '../../rails/model/score.js';

/** A model of others' making, ready to be asked. */
export interface ModelSession {
  /** Millionths of the probability that one row is fraud; FAILED where it does not say one. Never rejects. */
  scoreE6(inputs: Inputs): Promise<number | 'FAILED'>;
}

/** Opens models that the platform does not score itself. */
export abstract class ModelRuntime {
  /** @throws DF_MODEL_RUNTIME_MISSING, DF_MODEL_REFUSED for a file that it cannot read, or that asks for other inputs */
  abstract open(model: OnnxModel): Promise<ModelSession>;
}

/** What is used of the package `onnxruntime-node`, which need not be installed. */
export interface OnnxRuntimePackage {
  readonly InferenceSession: {
    create(file: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OnnxInferenceSession>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OnnxTensor;
}

export interface OnnxTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayLike<number | bigint>;
}

export interface OnnxInferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(
    feeds: Readonly<Record<string, OnnxTensor>>,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, OnnxTensor>>>;
}

const PACKAGE = 'onnxruntime-node';
/** One thread in one order, so that the same row has the same score on the same machine. */
const OPTIONS = {
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
};

const PROBES = [
  ['zeros', 0],
  ['ones', 1],
  ['values that are missing', null],
] as const;
const PROBED_TIMES = 8;
/** Half precision comes as its bits, which are no numbers to compare. */
const SPOKEN: ReadonlySet<string> = new Set(['float32', 'float64']);

/**
 * ONNX Runtime, where its package is installed.
 *
 * Rows are scored one by one, though the runtime takes many at once: how it adds depends on how many there are, and a decision that is made again
 * stands in other company than when it was made.
 */
@Injectable()
export class OnnxRuntime extends ModelRuntime {
  #package: OnnxRuntimePackage | undefined;

  async open(model: OnnxModel): Promise<ModelSession> {
    const onnx = this.#package ?? this.load();
    this.#package = onnx;
    let session: OnnxInferenceSession;
    try {
      session = await onnx.InferenceSession.create(onnxFile(model), OPTIONS);
    } catch (cause) {
      throw new ProbityError('DF_MODEL_REFUSED', 'the file cannot be read as an ONNX model', { cause });
    }
    const { input_tensor: input, output_tensor: output } = model;
    if (!session.inputNames.includes(input) || session.inputNames.length > 1)
      throw refused(`its inputs are ${session.inputNames.join(', ')}, and not ${input} alone`);
    if (!session.outputNames.includes(output))
      throw refused(`its outputs are ${session.outputNames.join(', ')}, and none is ${output}`);
    const opened = new OnnxSession(onnx, session, model);
    // Asked once before anybody waits for it: with other shapes it fails now.
    const why = await opened.probe();
    if (why !== null) throw refused(why);
    return opened;
  }

  protected load(): OnnxRuntimePackage {
    try {
      return createRequire(import.meta.url)(PACKAGE) as OnnxRuntimePackage;
    } catch (cause) {
      throw new ProbityError('DF_MODEL_RUNTIME_MISSING', `the package ${PACKAGE} cannot be loaded`, { cause });
    }
  }
}

class OnnxSession implements ModelSession {
  constructor(
    private readonly onnx: OnnxRuntimePackage,
    private readonly session: OnnxInferenceSession,
    private readonly model: OnnxModel,
  ) {}

  async scoreE6(inputs: Inputs): Promise<number | 'FAILED'> {
    try {
      return await this.#run(inputs);
    } catch {
      return 'FAILED';
    }
  }

  /**
   * Why it cannot be used; null when a row of zeros, of ones and of nothing at all each have one score. A model that draws random numbers would be
   * made again with another score, so it is asked several times; that finds one which draws for these rows, and no other.
   */
  async probe(): Promise<string | null> {
    for (const [what, value] of PROBES) {
      const scores = new Set<number | 'FAILED'>();
      try {
        for (let time = 0; time < PROBED_TIMES; time += 1)
          scores.add(await this.#run(this.model.inputs.map(() => value)));
      } catch (error) {
        return `a row of ${this.model.inputs.length} numbers cannot be scored: ${error instanceof Error ? error.message.slice(0, 300) : 'no reason given'}`;
      }
      if (scores.has('FAILED')) return `a row of ${what} has no probability in its answer`;
      if (scores.size > 1) return `a row of ${what} has another score each time that it is asked for`;
    }
    return null;
  }

  async #run(inputs: Inputs): Promise<number | 'FAILED'> {
    const { missing, input_tensor, output_tensor, output_column } = this.model;
    const empty = missing === 'NaN' ? Number.NaN : missing;
    const row = Float32Array.from(inputs, (value) => value ?? empty);
    const feeds = { [input_tensor]: new this.onnx.Tensor('float32', row, [1, row.length]) };
    const { [output_tensor]: answer } = await this.session.run(feeds, [output_tensor]);
    if (answer === undefined || !SPOKEN.has(answer.type) || !isOneRow(answer.dims)) return 'FAILED';
    const probability = answer.data[output_column ?? answer.data.length - 1];
    if (typeof probability !== 'number' || !(probability >= 0 && probability <= 1)) return 'FAILED';
    return Math.round(probability * 1e6);
  }
}

/** [rows] or [rows, columns], with one row. */
function isOneRow(dims: readonly number[]): boolean {
  return dims[0] === 1 && dims.length <= 2;
}

function refused(why: string): ProbityError {
  return new ProbityError('DF_MODEL_REFUSED', why);
}
