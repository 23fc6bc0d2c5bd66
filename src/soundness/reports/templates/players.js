// A line across each picture at the moment of its sound that is played; a click on the picture plays from there.

export function followPlayers(root) {
  for (const picture of root.querySelectorAll("[data-player]")) {
    const audio = root.querySelector(`#sound-${picture.dataset.player}`), cursor = picture.querySelector(".cursor");
    if (audio === null) continue;
    const start = Number(audio.dataset.start), length = Number(audio.dataset.length);
    const move = () => {
      cursor.style.left = `${100 * (start + audio.currentTime) / length}%`;
      cursor.classList.toggle("is-on", audio.currentTime > 0);
      if (!audio.paused) requestAnimationFrame(move);
    };
    for (const event of ["play", "seeked", "pause", "ended"]) audio.addEventListener(event, move);
    picture.addEventListener("click", event => {
      const box = picture.getBoundingClientRect();
      audio.currentTime = Math.max(0, length * (event.clientX - box.left) / box.width - start);
      audio.play();
    });
  }
}
