import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.io.ByteArrayInputStream;

/** java Client.java URL: as Java does it by default, which is to offer h2c with every first request. */
public class Client {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        URI uri = URI.create(args[0]);
        byte[] large = new byte[300_000];
        send(client, HttpRequest.newBuilder(uri).POST(BodyPublishers.ofString("hello")).build());
        send(client, HttpRequest.newBuilder(uri).build());
        send(client, HttpRequest.newBuilder(uri).PUT(BodyPublishers.ofByteArray(large)).build());
        send(client, HttpRequest.newBuilder(uri)
            .PUT(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(large))).build());
        send(client, HttpRequest.newBuilder(uri).DELETE().build());
    }

    private static void send(HttpClient client, HttpRequest request) throws Exception {
        HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
        System.out.println(response.version() + " " + response.statusCode() + " " + response.body());
    }
}
