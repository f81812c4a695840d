import { test } from "bun:test"; 
import { portableSuites } from "../suites.ts";
for (const suite of portableSuites) suite({ runtime:"bun", test: (name, body) => void test(name, body) });
