import type { JsonObject } from '../../rails/canonical-json.js';

export type Applied =
  { readonly ok: true; readonly parameters: JsonObject } | { readonly ok: false; readonly says: string };

/**
 * A parameter pack with some of its values set: `customers.count=1000`, the path by dots, the value as JSON and as text where it
 * is no JSON. Only what the pack has can be set, so that a misspelt name is no silent nothing.
 */
export function withSettings(pack: JsonObject, settings: readonly string[]): Applied {
  const parameters = structuredClone(pack) as Record<string, unknown>;
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at < 1) return { ok: false, says: `--set ${setting}: write name=value` };
    const path = setting.slice(0, at).split('.');
    const problem = set(parameters, path, valueOf(setting.slice(at + 1)));
    if (problem !== undefined) return { ok: false, says: `--set ${setting}: ${problem}` };
  }
  return { ok: true, parameters: parameters as JsonObject };
}

function set(target: Record<string, unknown>, path: readonly string[], value: unknown): string | undefined {
  let inner = target;
  for (const [index, name] of path.entries()) {
    if (!Object.hasOwn(inner, name)) {
      const where = index === 0 ? 'the pack' : path.slice(0, index).join('.');
      return `${where} has no "${name}"; it has ${Object.keys(inner).join(', ')}`;
    }
    const next = inner[name];
    if (index === path.length - 1) inner[name] = value;
    else if (typeof next === 'object' && next !== null && !Array.isArray(next)) inner = next as Record<string, unknown>;
    else return `"${path.slice(0, index + 1).join('.')}" is one value and has no parts`;
  }
  return undefined;
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
