import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { elementsOf, formOf, type JsonElement, JsonSplitter, type JsonSplitterOptions } from './json-splitter.js';

interface Split {
  readonly elements: readonly JsonElement[];
  /** The place of the fault, or undefined. */
  readonly fault?: unknown;
}

function split(chunks: readonly Uint8Array[], options: Partial<JsonSplitterOptions> = {}): Split {
  const splitter = new JsonSplitter({ form: 'json', elementBytesMax: 1_000_000, ...options });
  const elements = chunks.flatMap((chunk) => splitter.push(chunk));
  try {
    elements.push(...splitter.end());
    return { elements };
  } catch (error) {
    if (!isProbityError(error, 'HTTP_BODY_INVALID')) throw error;
    return { elements, fault: error.message };
  }
}

const whole = (text: string, options: Partial<JsonSplitterOptions> = {}): Split => split([Buffer.from(text)], options);
const texts = ({ elements }: Split): readonly unknown[] =>
  elements.map((element) => ('text' in element ? element.text : element.refused));

/** The bytes cut at the given places, empty pieces included. */
function cut(bytes: Uint8Array, places: readonly number[]): readonly Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.byteLength + 1)).sort((a, b) => a - b), bytes.byteLength];
  return at.slice(1).map((to, index) => bytes.subarray(at[index], to));
}

const places = fc.array(fc.nat(), { maxLength: 12 });
const blank = fc.constantFrom('', ' ', '\n', '\r\n', '\t  ');
/** JSON with strings that hold brackets, quotes, escapes and characters of two to four bytes. */
const value = fc.jsonValue({ stringUnit: 'binary' });
const awkward = fc.oneof(value, fc.string({ unit: fc.constantFrom('"', '\\', '{', ']', ',', '\n', 'ß', '€', '𝄞') }));
/** Anything that looks a little like JSON, most of it broken. */
const rubble = fc
  .array(fc.constantFrom('[', ']', '{', '}', ',', ':', '"', '\\', ' ', '\n', '1', 'true', '"a"', 'é', '{"a":1}'), {
    maxLength: 14,
  })
  .map((pieces) => pieces.join(''));

describe('a body that is cut into its elements', () => {
  it.each<readonly [string, readonly unknown[]]>([
    ['[]', []],
    [' [ ] ', []],
    ['[{"a":"]}"},[1,[2]],"x\\"]",1, true ,null]', ['{"a":"]}"}', '[1,[2]]', '"x\\"]"', '1', 'true', 'null']],
    ['{"a":\n {"b":1}}', ['{"a":\n {"b":1}}']],
    ['{"a":1}\n{"a":2}\n', ['{"a":1}', '{"a":2}']],
    ['', []],
    ['  \n', []],
    ['12', ['12']],
    ['\uFEFF[1]', ['1']],
  ])('%j has these', (text, expected) => {
    expect(whole(text)).toMatchObject({ elements: expected.map((each, index) => ({ index, text: each })) });
    expect(whole(text).fault).toBeUndefined();
  });

  it.each<readonly [string, number, string]>([
    ['[1,]', 1, 'an element is missing, at byte 3, in element 1'],
    ['[,1]', 0, 'an element is missing, at byte 1, in element 0'],
    ['[{} {}]', 1, 'something else than a comma, at byte 4, in element 1'],
    ['[{}] x', 1, 'something follows the end of the array, at byte 5'],
    ['[{}, {"a"', 1, 'the body breaks off, at byte 9, in element 1'],
    ['[', 0, 'the body breaks off, at byte 1'],
    ['[{}', 1, 'the body breaks off, at byte 3'],
    ['{"a":"', 0, 'the body breaks off, at byte 6'],
    ['}', 0, 'an element is missing, at byte 0'],
  ])('%j: what is complete is handed out, then the fault', (text, complete, says) => {
    const { elements, fault } = whole(text);
    expect(elements).toHaveLength(complete);
    expect(fault).toContain(says);
  });

  it('says what the body is', () => {
    const shapeOf = (text: string, form: 'json' | 'lines' = 'json'): unknown => {
      const splitter = new JsonSplitter({ form, elementBytesMax: 9 });
      splitter.push(Buffer.from(text));
      return splitter.shape;
    };
    expect([shapeOf(' [1'), shapeOf('{}'), shapeOf(' '), shapeOf('[1]', 'lines')]).toEqual([
      'array',
      'values',
      undefined,
      'values',
    ]);
  });

  it('counts an element that is too long without keeping it, and goes on with the next', () => {
    const long = `"${'x'.repeat(100)}"`;
    for (const [text, form] of [
      [`[1,${long},2]`, 'json'],
      [`1\n${long}\n2`, 'lines'],
    ] as const) {
      const { elements, fault } = whole(text, { form, elementBytesMax: 101 });
      expect(fault).toBeUndefined();
      expect(elements).toEqual([
        { index: 0, text: '1' },
        { index: 1, refused: 'too_large', bytes: 102 },
        { index: 2, text: '2' },
      ]);
      expect(texts(whole(text, { form, elementBytesMax: 102 }))).toEqual(['1', long, '2']);
    }
  });

  it('keeps the beginning of what it refuses for who has to show it, wherever the chunks end', () => {
    const [long, broken] = [`"${'x'.repeat(100)}"`, Buffer.from('"a\xffb"', 'latin1')];
    const body = Buffer.concat([Buffer.from(`[1,${long},`), broken, Buffer.from(',2]')]);
    for (const size of [1, 3, 50, body.byteLength]) {
      const splitter = new JsonSplitter({ form: 'json', elementBytesMax: 10, keepHead: true });
      const elements: JsonElement[] = [];
      for (let at = 0; at < body.byteLength; at += size) elements.push(...splitter.push(body.subarray(at, at + size)));
      elements.push(...splitter.end());
      expect(elements).toEqual([
        { index: 0, text: '1' },
        { index: 1, refused: 'too_large', bytes: 102, head: Buffer.from(long.slice(0, 10)) },
        { index: 2, refused: 'not_utf8', bytes: 5, head: broken },
        { index: 3, text: '2' },
      ]);
    }
  });

  it('refuses an element that is not UTF-8, and that element alone', () => {
    const broken = Buffer.concat([Buffer.from('["a","'), Buffer.from([0xc3, 0x28]), Buffer.from('","b"]')]);
    expect(texts(split([broken]))).toEqual(['"a"', 'not_utf8', '"b"']);
    expect(split([Buffer.from([0xef, 0x20]), Buffer.from('{}')]).fault).toContain('not UTF-8');
    expect(split([Buffer.from([0xef, 0xbb])]).fault).toBeDefined();
  });

  it('takes lines as they are: a broken one ends at its own line', () => {
    const lines = whole('\uFEFF{"a":1}\r\n\r\n{"broken\n [1] \n"ü"', { form: 'lines' });
    expect(texts(lines)).toEqual(['{"a":1}', '{"broken', '[1]', '"ü"']);
    expect(lines.fault).toBeUndefined();
  });

  it('finds the elements of any array, whatever the blanks and wherever the chunks end', () => {
    fc.assert(
      fc.property(fc.array(awkward), blank, places, (values, gap, at) => {
        const own = values.map((each) => JSON.stringify(each));
        const body = `${gap}[${gap}${own.join(`${gap},${gap}`)}${gap}]${gap}`;
        expect(texts(split(cut(Buffer.from(body), at)))).toEqual(own);
      }),
    );
  });

  it('finds values one after another, as lines and without their help', () => {
    fc.assert(
      fc.property(fc.array(awkward), places, fc.constantFrom('json', 'lines' as const), (values, at, form) => {
        const own = values.map((each) => JSON.stringify(each));
        fc.pre(form === 'lines' || own[0]?.startsWith('[') !== true);
        expect(texts(split(cut(Buffer.from(own.join('\n')), at), { form }))).toEqual(own);
      }),
    );
  });

  it('gives the same elements and the same fault for any chunking of anything', () => {
    const anything = fc.oneof(
      rubble.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      rubble.map((text) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)])),
    );
    fc.assert(
      fc.property(
        anything,
        places,
        fc.constantFrom('json', 'lines' as const),
        fc.integer({ min: 1, max: 30 }),
        (bytes, at, form, elementBytesMax) => {
          const options = { form, elementBytesMax };
          expect(split(cut(bytes, at), options)).toEqual(split([bytes], options));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('a body that begins with a bracket is JSON exactly when there is no fault and every element parses', () => {
    fc.assert(
      fc.property(rubble, (text) => {
        const body = `[${text}`;
        const { elements, fault } = whole(body);
        const parsed = elements.map((element) => ('text' in element ? jsonOf(element.text) : undefined));
        const mine = fault === undefined && !parsed.includes(undefined) ? parsed : undefined;
        expect(mine).toEqual(jsonOf(body));
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('a body that arrives', () => {
  async function* arriving(pieces: readonly (string | Error)[]): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) {
      if (piece instanceof Error) throw piece;
      yield await Promise.resolve(Buffer.from(piece));
    }
  }

  async function taken(pieces: readonly (string | Error)[]): Promise<readonly unknown[]> {
    const splitter = new JsonSplitter({ form: 'json', elementBytesMax: 100 });
    const seen: unknown[] = [];
    try {
      for await (const elements of elementsOf(splitter, arriving(pieces))) seen.push(texts({ elements }));
    } catch (error) {
      seen.push((error as Error).message);
    }
    return seen;
  }

  it('gives what each piece completes', async () => {
    expect(await taken(['[1,2', ',3,', ' ', '4]'])).toEqual([['1'], ['2', '3'], ['4']]);
    expect(await taken(['1 2', '3'])).toEqual([['1'], ['23']]);
    expect(await taken([])).toEqual([]);
  });

  it('ends with the fault, after what was complete, and reads no further', async () => {
    expect(await taken(['[1,{}', ', 3'])).toEqual([['1', '{}'], expect.stringContaining('breaks off')]);
    expect(await taken(['[1,2,]', new Error('never asked for')])).toEqual([
      ['1', '2'],
      expect.stringContaining('an element is missing, at byte 5'),
    ]);
    expect(await taken(['[1,', new Error('ECONNRESET')])).toEqual([
      ['1'],
      'HTTP_BODY_INVALID: the body could not be read to its end',
    ]);
  });

  it('is read as its media type says', () => {
    expect(['application/x-ndjson', 'application/jsonl; charset=utf-8', 'Application/NDJSON'].map(formOf)).toEqual(
      Array(3).fill('lines'),
    );
    expect(['application/json', undefined, 'application/jsonlx'].map(formOf)).toEqual(Array(3).fill('json'));
  });
});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
