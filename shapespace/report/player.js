"use strict";
// The player of player.py, one per figure: unpacks the meshes and draws them with WebGL 1.
(() => {
  const figure = document.currentScript.parentElement;
  const [head, body] = figure.querySelectorAll("script[type]");
  const animation = JSON.parse(head.textContent);
  const canvas = figure.querySelector("canvas");
  const caption = figure.querySelector("figcaption");
  const button = figure.querySelector("button");
  const slider = figure.querySelector("input");
  // Each slider below the walk has its own frames, which follow those of the walk.
  let next = animation.walk;
  const axes = [...figure.querySelectorAll(".axis input")].map((input) => {
    const count = Number(input.max) + 1, first = next;
    next += count;
    return { input, first, count, middle: Number(input.value) };
  });
  const gl = canvas.getContext("webgl", { antialias: true, alpha: true });
  const YAW = -0.35, PITCH = 0.14;
  let yaw = YAW, pitch = PITCH, zoom = 1, frame = 0, since = 0, playing = false, meshes = [];

  // The inverse of packed() in player.py: base64, inflate, byte planes, zigzag.
  async function numbers(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const count = bytes.length / 4, found = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const sign = bytes[i] | (bytes[i + count] << 8) | (bytes[i + 2 * count] << 16)
        | (bytes[i + 3 * count] << 24);
      found[i] = (sign >>> 1) ^ -(sign & 1);
    }
    return found;
  }

  function buffer(target, data) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return made;
  }

  // Buffers of each frame from all integers; a running sum over rows undoes the differences.
  function unpack(all) {
    let at = 0;
    const take = (rows, Kind, map) => {
      const part = all.subarray(at, at += 3 * rows), out = new Kind(3 * rows), sum = [0, 0, 0];
      for (let i = 0; i < 3 * rows; i++) out[i] = map(sum[i % 3] += part[i], i % 3);
      return out;
    };
    meshes = animation.frames.map(({ vertices, faces }) => ({
      positions: buffer(gl.ARRAY_BUFFER, take(vertices, Float32Array,
        (value, axis) => animation.low[axis] + value * animation.size / 65535)),
      normals: buffer(gl.ARRAY_BUFFER, take(vertices, Int8Array, (value) => value)),
      faces: buffer(gl.ELEMENT_ARRAY_BUFFER, take(faces, Uint32Array, (value) => value)),
      count: 3 * faces,
    }));
  }

  // press = 1 draws the shape pressed onto the floor, in one colour: its shadow.
  const VERTEX = `attribute vec3 place, normal; uniform mat3 turn; uniform vec3 middle, up;
    uniform vec2 scale; uniform float depth, ground, press; varying vec3 n;
    void main() { n = turn * normal;
      vec3 p = turn * (place - press * (dot(place, up) - ground) * up - middle);
      gl_Position = vec4(p.xy * scale, -p.z * depth, 1.0); }`;
  const FRAGMENT = `precision mediump float; varying vec3 n; uniform vec3 colour, sky;
    uniform lowp float dark;
    void main() { vec3 m = normalize(n); vec3 key = normalize(vec3(-.55, .95, .85));
      float light = .44 * (.6 + .27 * dot(m, sky)) + .80 * max(dot(m, key), 0.)
        + .12 * max(dot(m, normalize(vec3(.9, .15, .4))), 0.);
      float shine = .10 * pow(max(dot(m, normalize(key + vec3(0, 0, 1))), 0.), 30.)
        + .06 * pow(1. - max(m.z, 0.), 3.);
      vec3 lit = pow(light * pow(colour, vec3(2.2)) + shine, vec3(1. / 2.2));
      gl_FragColor = vec4(mix(lit, vec3(.82, .85, .89), dark), 1.); }`;

  function compile() {
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw gl.getProgramInfoLog(program);
    gl.useProgram(program);
    return program;
  }

  // Rows of the rotation from the frame of the space to that of the camera.
  function turn() {
    const [c, s, e, t] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const camera = [[c, 0, -s], [-s * t, e, -c * t], [s * e, t, c * e]];
    return camera.map((row) => [0, 1, 2].map(
      (j) => row.reduce((sum, value, i) => sum + value * animation.upright[i][j], 0)));
  }

  function draw() {
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const { label, colour } = animation.frames[frame], mesh = meshes[frame], rows = turn();
    caption.textContent = label;
    if (frame < animation.walk) slider.value = frame;
    for (const { input, first, count, middle } of axes) {
      input.value = frame >= first && frame < first + count ? frame - first : middle;
    }
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (!mesh || !mesh.count) return;
    const at = (name) => gl.getUniformLocation(program, name);
    const middle = animation.low.map((low, axis) => (low + animation.high[axis]) / 2);
    const side = animation.high.map((high, axis) => (high - animation.low[axis]) / 2);
    const reach = Math.hypot(...side) || 1;
    const tall = rows[1].reduce((sum, value, axis) => sum + Math.abs(value) * side[axis], 0);
    const wide = Math.hypot(side[0], side[1], side[2]);
    const fit = Math.min(1 / Math.max(tall, 1e-9), width / height / Math.max(wide, 1e-9));
    const up = animation.upright[1];
    gl.uniformMatrix3fv(at("turn"), false, [0, 1, 2].flatMap((j) => rows.map((row) => row[j])));
    gl.uniform3fv(at("middle"), middle);
    gl.uniform2f(at("scale"), 0.94 * zoom * fit * height / width, 0.94 * zoom * fit);
    gl.uniform1f(at("depth"), 0.9 / reach);
    gl.uniform3fv(at("colour"), colour);
    gl.uniform3fv(at("sky"), rows.map((row) => row.reduce((sum, v, i) => sum + v * up[i], 0)));
    for (const [name, data, kind] of
      [["place", mesh.positions, gl.FLOAT], ["normal", mesh.normals, gl.BYTE]]) {
      const slot = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, data);
      gl.enableVertexAttribArray(slot);
      gl.vertexAttribPointer(slot, 3, kind, kind === gl.BYTE, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.faces);
    gl.uniform3fv(at("up"), up);
    gl.uniform1f(at("ground"), ground(up));
    // The shadow first, then the shape over it; from below the floor there is no shadow.
    for (const press of pitch > 0.02 ? [1, 0] : [0]) {
      gl.uniform1f(at("press"), press);
      gl.uniform1f(at("dark"), press);
      gl.drawElements(gl.TRIANGLES, mesh.count, gl.UNSIGNED_INT, 0);
      gl.clear(gl.DEPTH_BUFFER_BIT);
    }
  }

  // The height of the floor: the lowest corner of the box along the axis that points up.
  function ground(up) {
    const { low, high } = animation;
    return up.reduce((sum, v, i) => sum + Math.min(v * low[i], v * high[i]), 0);
  }

  function show(number) {
    frame = Math.max(0, Math.min(animation.frames.length - 1, number));
    draw();
  }

  // The frame before or after this one on the slider that it belongs to.
  function beside(by) {
    const walk = { first: 0, count: animation.walk };
    const { first, count } = axes.find((axis) => frame >= axis.first
      && frame < axis.first + axis.count) || walk;
    return Math.max(first, Math.min(first + count - 1, frame + by));
  }

  function step(now) {
    if (!playing) return;
    if (now - since >= 1000 / animation.rate) {
      since = now;
      const next = frame + 1;
      if (next >= animation.walk && !animation.loop) return play(false);
      show(next % animation.walk);
    }
    requestAnimationFrame(step);
  }

  function play(on) {
    if (on && frame >= animation.walk - 1) frame = 0;
    playing = on;
    button.textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(step);
  }

  function listen() {
    let held = null;
    button.onclick = () => play(!playing);
    slider.oninput = () => { play(false); show(Number(slider.value)); };
    for (const { input, first } of axes) {
      input.oninput = () => { play(false); show(first + Number(input.value)); };
    }
    canvas.onpointerdown = (event) => {
      held = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
      if (!held) return;
      yaw -= 0.01 * (event.clientX - held[0]);
      pitch = Math.max(-1.5, Math.min(1.5, pitch + 0.01 * (event.clientY - held[1])));
      held = [event.clientX, event.clientY];
      show(frame);
    };
    canvas.onpointerup = canvas.onpointercancel = () => { held = null; };
    canvas.ondblclick = () => { [yaw, pitch, zoom] = [YAW, PITCH, 1]; show(frame); };
    canvas.addEventListener("wheel", (event) => {
      // Only after a click: else the page could not be scrolled past the player.
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      zoom = Math.max(0.5, Math.min(12, zoom * Math.exp(-0.0015 * event.deltaY)));
      show(frame);
    }, { passive: false });
    canvas.onkeydown = (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === " ") play(!playing);
      else if (by) { play(false); show(beside(by)); }
      else return;
      event.preventDefault();
    };
    // The animation starts by itself when the player is in view.
    const seen = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      seen.disconnect();
      if (animation.walk > 1 && !matchMedia("(prefers-reduced-motion)").matches) play(true);
    }, { threshold: 0.6 });
    seen.observe(canvas);
    new ResizeObserver(draw).observe(canvas);
  }

  function say(text) {
    caption.textContent = text;
    canvas.hidden = true;
    for (const part of figure.querySelectorAll(".controls, .axis")) part.hidden = true;
  }

  if (!gl || !window.DecompressionStream || !gl.getExtension("OES_element_index_uint")) {
    say("This browser has no WebGL or is from before 2023: the shapes cannot be turned here.");
    return;
  }
  const program = compile();
  gl.enable(gl.DEPTH_TEST);
  caption.textContent = "loading";
  numbers(body.textContent).then((all) => { unpack(all); listen(); show(0); });
})();
