import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import type { RpcContract, RpcMethod } from './rpc.port.js';

interface MethodCodec {
  readonly method: RpcMethod;
  readonly request: Validator<unknown>;
  readonly response: Validator<unknown>;
}

/**
 * The shapes of one contract, compiled once per binding at their first use. It says where a value is wrong and never what
 * the value is: a payload does not belong into an error.
 */
export class RpcCodec {
  readonly role: string;
  readonly #methods: ReadonlyMap<string, MethodCodec>;

  constructor(contract: RpcContract) {
    this.role = contract.role;
    this.#methods = new Map(
      Object.entries(contract.methods).map(([name, method]) => [
        name,
        {
          method,
          request: validatorOf(method.request, 'the request'),
          response: validatorOf(method.response, 'the answer'),
        },
      ]),
    );
  }

  /** @throws ProbityError RPC_METHOD_UNKNOWN */
  method(name: string): RpcMethod {
    return this.#codec(name).method;
  }

  /** @throws ProbityError RPC_REQUEST_INVALID with the place as a JSON Pointer */
  demandRequest(name: string, value: unknown): void {
    const verdict = this.#codec(name).request.check(value);
    if (!verdict.ok) throw this.#invalid('RPC_REQUEST_INVALID', name, 'request', verdict.fault);
  }

  /** @throws ProbityError RPC_RESPONSE_INVALID with the place as a JSON Pointer */
  demandResponse(name: string, value: unknown): void {
    const verdict = this.#codec(name).response.check(value);
    if (!verdict.ok) throw this.#invalid('RPC_RESPONSE_INVALID', name, 'answer', verdict.fault);
  }

  #codec(name: string): MethodCodec {
    const codec = this.#methods.get(name);
    if (codec === undefined) throw new ProbityError('RPC_METHOD_UNKNOWN', `${this.role} has no method of this name`);
    return codec;
  }

  #invalid(
    code: 'RPC_REQUEST_INVALID' | 'RPC_RESPONSE_INVALID',
    name: string,
    what: string,
    { at, says }: { readonly at: string; readonly says: string },
  ): ProbityError {
    const place = at === '' ? '' : ` at ${at}`;
    return new ProbityError(code, `the ${what} of ${this.role}.${name}${place} ${says}`, { data: { at } });
  }
}

/** @throws ProbityError of the given code for what JSON cannot say: undefined, a BigInt, a circle */
export function encode(value: unknown, code: 'RPC_REQUEST_INVALID' | 'RPC_RESPONSE_INVALID'): string {
  let text: string | undefined;
  try {
    // Typed as always giving a string; for undefined and functions it gives undefined, which is looked at below.
    text = JSON.stringify(value);
  } catch {
    text = undefined;
  }
  if (text === undefined) throw new ProbityError(code, 'the value has no JSON form');
  return text;
}
