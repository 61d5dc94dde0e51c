import { wholePath } from './decisions.js';
import type { Bench } from './harness.js';

/** The whole path as `decisions` measures it, in two processes of one machine: what decides, and what carries out and records. */
export const bench: Bench = (note) =>
  wholePath('embedded', note, ['ig,edge,ofp,ieg,dl,df', 'engine,sr,wsp,labels,al,dla,ops']);
